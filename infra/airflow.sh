#!/usr/bin/env bash
# The real Airflow on this machine; it needs nothing but .venv:
#   infra/airflow.sh test nightly 2026-03-30 infra/recipes/demo.toml   run a DAG once, in this terminal
#   infra/airflow.sh standalone                                        run the scheduler and the web page (port ARTREC_AIRFLOW_PORT, by default 8080)
# All files are written to .artrec/airflow; ARTREC_AIRFLOW_HOME names another folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
[ -x "$root/.venv/bin/airflow" ] && PATH="$root/.venv/bin:$PATH"
command -v airflow >/dev/null || { echo "artrec: there is no airflow here; run \`make setup\` first" >&2; exit 1; }

AIRFLOW_HOME=$(realpath -m "${ARTREC_AIRFLOW_HOME:-$root/.artrec/airflow}")
export AIRFLOW_HOME
export AIRFLOW__CORE__DAGS_FOLDER="$root/dags"
export AIRFLOW__CORE__LOAD_EXAMPLES=False
export AIRFLOW__CORE__EXECUTOR=LocalExecutor
export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=False
export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:///$AIRFLOW_HOME/airflow.db"
# Only this machine can connect. Four tasks at a time are enough for a laptop; Airflow's default is 32.
port=${ARTREC_AIRFLOW_PORT:-8080}
export AIRFLOW__API__HOST=127.0.0.1
export AIRFLOW__API__PORT=$port
export AIRFLOW__API__BASE_URL="http://localhost:$port"
export AIRFLOW__CORE__EXECUTION_API_SERVER_URL="http://127.0.0.1:$port/execution/"
export AIRFLOW__CORE__PARALLELISM=4
# The ports of the log servers follow the page's port, so that two Airflows with different ports can run at the same time.
export AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=$((port + 1))
export AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=$((port + 2))
# Jobs use all cores, so the API server may answer late. By default a task would fail after five seconds.
export AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT=${AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT:-60}
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False
# A pipe, too, gets each line when it is printed.
export PYTHONUNBUFFERED=1

# Show Airflow's own lines only for errors, and all lines of the jobs.
quiet() {
    export AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR
    export AIRFLOW__LOGGING__NAMESPACE_LEVELS="artrec=INFO"
    export AIRFLOW__LOGGING__LOG_FORMAT="%(message)s"
    export AIRFLOW__LOGGING__COLORED_CONSOLE_LOG=False
    export PYTHONWARNINGS=ignore
}

# hold_lock NAME MESSAGE: take a lock in Airflow's home. This script holds it until it ends, or until the command ends that
# replaces it by `exec`. If another process holds the lock, MESSAGE is printed and the script waits.
hold_lock() {
    local name=$1 message=$2 lock
    mkdir -p "$AIRFLOW_HOME"
    exec {lock}>>"$AIRFLOW_HOME/.$name.lock"
    flock --nonblock "$lock" || { echo "$message"; flock "$lock"; }
}

# Make the tables of Airflow's own database, once for each version of Airflow. Airflow changes the file in place and without a
# lock. Two processes at once, or a kill in those seconds, would leave a file that cannot be opened any more. So the tables are
# made in a copy, which then replaces the file.
migrate() {
    local version stamp="$AIRFLOW_HOME/.migrated" database="$AIRFLOW_HOME/airflow.db" building="$AIRFLOW_HOME/.airflow.db.building"
    version=$(python -c 'from importlib.metadata import version; print(version("apache-airflow-core"))')
    is_current() { [ -f "$database" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$version" ]; }
    is_current && return
    (
        hold_lock migrate "another run is setting up Airflow in $AIRFLOW_HOME; waiting for it"
        is_current && exit
        echo "setting up Airflow $version in $AIRFLOW_HOME (once)"
        rm -f "$building" "$building"-*
        [ ! -f "$database" ] || python -c '
import sys
from artrec_core.sqlite_files import copy_database
copy_database(*sys.argv[1:])' "$database" "$building"
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:///$building" airflow db migrate >"$AIRFLOW_HOME/migrate.log" 2>&1 ||
            { cat "$AIRFLOW_HOME/migrate.log" >&2; exit 1; }
        mv "$building" "$database"
        echo "$version" >"$stamp"
    )
}

run_once() {
    local dag=$1 day=$2 recipe=$3 conf
    export ARTREC_RECIPE=$recipe ARTREC_RETRIES=0
    conf=$(python -c '
import json, sys
from datetime import date
from artrec_core.config import load
from artrec_core.errors import ArtrecError
day, recipe = sys.argv[1:]
try:
    load(recipe)
    if date.fromisoformat(day).isoformat() != day:
        raise ValueError
except ArtrecError as error:
    sys.exit(f"artrec: {error}")
except ValueError:
    sys.exit(f"artrec: {day!r} is not a date; write it as YYYY-MM-DD, for example 2026-03-30")
print(json.dumps({"date": day, "recipe": recipe}))
' "$day" "$recipe")
    quiet
    # Two runs of a DAG and date would do the same work, and use one file for their databases.
    hold_lock "$dag-$day" "$dag $day: another run of this DAG and date is active; waiting for it"
    migrate
    exec python -m dags.artrec_dags.terminal test "$dag" "$day" "$conf"
}

standalone() {
    migrate
    export AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=True
    echo "Airflow's page: http://localhost:$port, user admin, password in"
    echo "  $AIRFLOW_HOME/simple_auth_manager_passwords.json.generated"
    echo "The DAGs are loaded and paused. A DAG that is switched on runs its latest night at once, and then by its schedule."
    echo "Its Trigger button asks for the parameters and runs it now."
    exec python -m dags.artrec_dags.terminal standalone
}

case "${1:-}" in
    test)
        [ $# = 4 ] || { echo "usage: infra/airflow.sh test DAG DATE RECIPE" >&2; exit 2; }
        run_once "$2" "$3" "$4" ;;
    standalone) standalone ;;
    *) sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
