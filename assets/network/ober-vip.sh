#!/bin/sh
# Written by ober from {{config}}. Puts the addresses of {{vipList}}
# on the VIP interface: "add" adds those that are missing, "up" also takes away all others, "down" takes away all.
set -eu
interface={{interface}}

# A kernel without dummy devices gets the addresses on lo, under a label of our own.
if ! ip link show dev "$interface" >/dev/null 2>&1; then
  if [ "$1" = down ] || ! ip link add "$interface" type dummy 2>/dev/null; then
    interface=lo
  fi
fi
label=$interface
if [ "$interface" = lo ]; then label=lo:ober; fi

wanted() {
  if [ "$1" != down ]; then sed -n '/^[0-9a-fA-F:]/p' {{vipList}}; fi
}
# lo has no labels for IPv6: there, every /128 but ::1 is taken for ours.
present() {
  ip -4 -o addr show dev "$interface" label "$label" | while read -r _ _ _ address _; do echo "${address%/*}"; done
  ip -6 -o addr show dev "$interface" | while read -r _ _ _ address _; do
    case $address in ::1/128 | fe80:*) ;; */128) echo "${address%/128}" ;; esac
  done
}

ip link set dev "$interface" up
for vip in $(wanted "$1"); do
  case $vip in
    *:*) ip -6 addr replace "$vip/128" dev "$interface" nodad ;;
    *) ip -4 addr replace "$vip/32" dev "$interface" label "$label" ;;
  esac
done
if [ "$1" = add ]; then exit 0; fi
for address in $(present); do
  if wanted "$1" | grep -qxF "$address"; then continue; fi
  case $address in
    *:*) ip -6 addr del "$address/128" dev "$interface" ;;
    *) ip -4 addr del "$address/32" dev "$interface" ;;
  esac
done
if [ "$1" = down ] && [ "$interface" != lo ]; then ip link del dev "$interface"; fi
