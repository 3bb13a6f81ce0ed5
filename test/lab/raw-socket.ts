/** IPv4 packets made by hand, which the runtime cannot send: this calls the C library. */
import { dlopen, FFIType, ptr } from "bun:ffi";

const [AF_INET, SOCK_RAW, IPPROTO_RAW] = [2, 3, 255];

/** Sends whole IPv4 packets to an address, as root; says whether the kernel took one. It fills the IP checksum in; see raw(7). */
export function rawSender(to: string): (packet: Uint8Array) => boolean {
  const { symbols } = dlopen("libc.so.6", {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    sendto: {
      args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
      returns: FFIType.i64,
    },
  });
  const socket = symbols.socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (socket < 0) throw new Error("no raw socket: not root");
  const place = new Uint8Array(16);
  place[0] = AF_INET;
  place.set(octets(to), 4);
  // The pointers are made anew each time: a pointer alone does not keep what it points at.
  return (packet) => symbols.sendto(socket, ptr(packet), packet.length, 0, ptr(place), 16) > 0;
}

export const octets = (address: string): number[] => address.split(".").map(Number);
