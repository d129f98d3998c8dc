#!/bin/sh
# usage: total.sh PRICE QUANTITY    What it costs, in cents; ten and more are a tenth cheaper.
price=$1 quantity=$2
total=$((price * quantity))
[ "$quantity" -gt 10 ] && total=$((total * 9 / 10))
echo "$total"
