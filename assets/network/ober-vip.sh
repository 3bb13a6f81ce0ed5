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
with_prefix() { case $1 in *:*) full=$1/128 ;; *) full=$1/32 ;; esac; }

# Every address of the machine as " INTERFACE,ADDRESS/PREFIX ", asked once for all VIPs: a node may have 250.
look() { present=" $(ip -o addr show | while read -r _ link _ address _; do printf '%s,%s ' "$link" "$address"; done)"; }
has_address() {
  case $present in *" $2,$1/"*) return 0 ;; esac
  # The kernel may write it in another way.
  case $1 in
    *:*) [ -n "$(ip -o addr show dev "$2" to "$1/128" 2>/dev/null)" ] ;;
    *) return 1 ;;
  esac
}

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

# Sets $chosen to the interface that a VIP gets: its own; one that ober creates; or lo, if the kernel has no dummy devices or the
# machine's own interface does not exist (yet).
asked="" chosen=""
interface_for() {
  if [ "$1" = "$asked" ]; then return; fi
  asked=$1 chosen=$1
  if ! has_link "$1"; then
    case $1 in
      lo-* | dummy* | ober* | vip*)
        : >"$records/link,$1"
        if ! ip link add "$1" type dummy 2>/dev/null; then rm -f "$records/link,$1"; fi
        ;;
      *) echo "there is no interface $1: its VIPs are on lo" >&2 ;;
    esac
    if ! has_link "$1"; then chosen=lo; fi
  fi
  if [ -e "$records/link,$chosen" ]; then ip link set dev "$chosen" up; fi
}

# Sets $words to what `ip` is told to add a VIP to an interface.
add_words() {
  with_prefix "$1"
  words="addr add $full dev $2"
  case $1,$2 in
    *:*) words="$words nodad" ;;
    *,lo) words="$words label lo:ober" ;;
  esac
}

put() {
  if has_address "$1" "$2"; then return 0; fi
  : >"$records/address,$2,$1"
  add_words "$1" "$2"
  # shellcheck disable=SC2086 # words
  ip $words || { rm -f "$records/address,$2,$1"; return 1; }
}

# All that are missing in one program first, whatever becomes of each; then what that did not add, one by one.
look
missing=""
while read -r address interface; do
  [ -n "$address" ] || continue
  interface_for "$interface"
  if has_address "$address" "$chosen"; then continue; fi
  : >"$records/address,$chosen,$address"
  add_words "$address" "$chosen"
  missing="$missing$words
"
done <<END
$(wanted "$1")
END
if [ -n "$missing" ]; then
  printf '%s' "$missing" | ip -force -batch - 2>/dev/null || true
  look
fi
keep=" "
while read -r address interface; do
  [ -n "$address" ] || continue
  interface_for "$interface"
  interface=$chosen
  if ! put "$address" "$interface"; then
    interface=lo
    put "$address" lo
  fi
  keep="$keep$interface,$address link,$interface "
done <<END
$(wanted "$1")
END
if [ "$1" = add ]; then exit 0; fi

gone="" unwanted=""
for record in "$records"/address,*; do
  [ -e "$record" ] || continue
  name=${record##*/address,}
  case $keep in *" $name "*) continue ;; esac
  unwanted="$unwanted$name "
  with_prefix "${name#*,}"
  if has_address "${name#*,}" "${name%%,*}"; then
    gone="${gone}addr del $full dev ${name%%,*}
"
  fi
done
if [ -n "$gone" ]; then
  printf '%s' "$gone" | ip -force -batch - 2>/dev/null || true
  look
fi
for name in $unwanted; do
  # Another program may have given the address another prefix since: then it is not the one that ober added.
  if has_address "${name#*,}" "${name%%,*}"; then echo "${name#*,} on ${name%%,*} is left as it is" >&2; fi
  rm -f "$records/address,$name"
done
for record in "$records"/link,*; do
  [ -e "$record" ] || continue
  name=${record##*/}
  case $keep in *" $name "*) continue ;; esac
  if is_dummy "${name#link,}"; then ip link del dev "${name#link,}"; fi
  rm -f "$record"
done
