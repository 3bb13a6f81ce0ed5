#!/bin/sh
# Written by ober from {{config}}. Puts each VIP on its interface: "add" adds missing ones, "up" also removes
# those no longer wanted, "start" is the unit's first "up", "down" removes all. Only what is recorded under $records is ever removed: an
# address or interface that existed before belongs to the machine. A record is made before its object and removed after it, so
# the next run repairs one that was killed.
set -eu
records={{records}}

wanted() {
  [ "$1" = down ] || cat <<'END'
{{vips}}
END
}

# Runs one at a time.
exec 9<"$0"
flock -w 20 9

has_link() { ip link show dev "$1" >/dev/null 2>&1; }
is_dummy() { ip -o -d link show dev "$1" 2>/dev/null | grep -qw dummy; }
prefix() { case $1 in *:*) echo "$1/128" ;; *) echo "$1/32" ;; esac; }
has_address() { [ -n "$(ip -o addr show dev "$2" to "$(prefix "$1")" 2>/dev/null)" ]; }

# Releases before the records used only lo-vip, or lo with a label. Do this only if such a release has started the unit: at a start
# nothing of ober's exists, and a present lo-vip belongs to the machine.
adopt() {
  if is_dummy lo-vip; then
    : >"$1/link,lo-vip"
    ip -o addr show dev lo-vip | while read -r _ _ _ address _; do
      case $address in */32 | */128) : >"$1/address,lo-vip,${address%/*}" ;; esac
    done
  fi
  ip -4 -o addr show dev lo label lo:ober | while read -r _ _ _ address _; do
    : >"$1/address,lo,${address%/*}"
  done
}
if ! [ -d "$records" ]; then
  rm -rf "$records.new"
  mkdir -p -m 755 "$records.new"
  if [ "$1" != start ]; then adopt "$records.new"; fi
  mv "$records.new" "$records"
fi

# Prints the interface that a VIP gets: its own; one that ober creates; or lo, if the kernel has no dummy devices or the
# machine's own interface does not exist (yet).
interface_for() {
  if ! has_link "$1"; then
    case $1 in
      lo-* | dummy* | ober* | vip*)
        : >"$records/link,$1"
        if ! ip link add "$1" type dummy 2>/dev/null; then rm -f "$records/link,$1"; fi
        ;;
      *) echo "there is no interface $1: its VIPs are on lo" >&2 ;;
    esac
  fi
  if ! has_link "$1"; then echo lo; return; fi
  if [ -e "$records/link,$1" ]; then ip link set dev "$1" up; fi
  echo "$1"
}

put() {
  if has_address "$1" "$2"; then return 0; fi
  : >"$records/address,$2,$1"
  case $1 in
    *:*) ip -6 addr add "$1/128" dev "$2" nodad ;;
    *) if [ "$2" = lo ]; then ip addr add "$1/32" dev lo label lo:ober; else ip addr add "$1/32" dev "$2"; fi ;;
  esac || { rm -f "$records/address,$2,$1"; return 1; }
}

# Another program may have given the address another prefix since: then it is not the one that ober added.
take() {
  if has_address "$1" "$2" && ! ip addr del "$(prefix "$1")" dev "$2"; then echo "$1 on $2 is left as it is" >&2; fi
  rm -f "$records/address,$2,$1"
}

keep=" "
while read -r address interface; do
  [ -n "$address" ] || continue
  interface=$(interface_for "$interface")
  if ! put "$address" "$interface"; then
    interface=lo
    put "$address" lo
  fi
  keep="$keep$interface,$address link,$interface "
done <<END
$(wanted "$1")
END
if [ "$1" = add ]; then exit 0; fi

for record in "$records"/address,*; do
  [ -e "$record" ] || continue
  name=${record##*/address,}
  case $keep in *" $name "*) continue ;; esac
  take "${name#*,}" "${name%%,*}"
done
for record in "$records"/link,*; do
  [ -e "$record" ] || continue
  name=${record##*/}
  case $keep in *" $name "*) continue ;; esac
  if is_dummy "${name#link,}"; then ip link del dev "${name#link,}"; fi
  rm -f "$record"
done
