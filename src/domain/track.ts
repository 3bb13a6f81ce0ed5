/** What the health loop and keepalived agree on in VRRP mode: the files that the one writes and the other watches (`track_file`, keepalived.conf(5)). */

/**
 * The number that a node which cannot serve subtracts from its priorities. The owner is then below every healthy backup. If all nodes do so, the order is
 * unchanged, and one node keeps the VIP.
 */
export const CHECK_WEIGHT = -50;

/** The file with the number that is added to the priorities of a group's VIPs; `group` is "" where one group decides about all. */
export const weightFile = (weight: string, group: string) => (group === "" ? weight : `${weight}.${group}`);
