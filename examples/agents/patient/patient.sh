#!/bin/sh
# Takes three seconds and leaves one line for each, so that one can see whether anything was done twice.
set -eu
echo begin >> diary.txt
for second in 1 2 3; do
    echo "second $second" >&2
    echo "second $second" >> diary.txt
    sleep 1
done
echo end >> diary.txt
echo '"the diary is written"'
