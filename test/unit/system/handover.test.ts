import { expect, test } from "bun:test";
import { unacknowledged } from "../../../src/haproxy/traffic.ts";
import { parseHandover } from "../../../src/system/handover.ts";

const TABLE = `table ip ober {
	counter sent {
		packets 3 bytes 162
	}

	counter asked {
		packets 2 bytes 108
	}

	counter lost {
		packets 7 bytes 420
	}

	counter narrow {
		packets 5 bytes 2880
	}

	map owner {
		type ipv4_addr . inet_service . ipv4_addr . inet_service : ipv4_addr
		size 262144
		flags dynamic,timeout
		timeout 10s
		elements = { 10.88.0.2 . 60294 . 10.99.0.100 . 443 expires 6s624ms : 10.77.0.11,
			     10.88.0.2 . 60308 . 10.99.0.100 . 443 expires 8s : 10.77.0.12,
			     10.88.0.2 . 60309 . 10.99.0.100 . 443 timeout 10s expires 8s324ms : 10.77.0.11 }
	}
}
`;

test("nft's words for the table become numbers", () => {
  expect(parseHandover(TABLE)).toEqual({
    loaded: true,
    repeats: false,
    packets: { sent: 3, asked: 2, served: 0, lost: 7, stranger: 0, narrow: 5 },
    flows: { "10.77.0.11": 2, "10.77.0.12": 1 },
  });
  expect(parseHandover("").loaded).toBe(false);
});

test("a connection counts while its client has not acknowledged everything", () => {
  const ss = `ESTAB      0      0      10.99.0.100:443   10.88.0.2:60294
ESTAB      0      131072 10.99.0.100:443   10.88.0.2:60308
FIN-WAIT-1 0      1      10.99.0.100:443   10.88.0.2:60309
`;
  expect(unacknowledged(ss)).toEqual([131072, 1]);
  expect(unacknowledged("")).toEqual([]);
});
