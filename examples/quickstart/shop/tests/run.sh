#!/bin/sh
# Tests total.sh: sh tests/run.sh
check() {
    got=$(sh ./total.sh "$1" "$2")
    [ "$got" = "$3" ] || { echo "total.sh $1 $2: expected '$3', got '$got'"; exit 1; }
}
check 5 2 10
check 100 10 900
check 100 -1 refused
echo "all three hold"
