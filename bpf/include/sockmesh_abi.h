/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The shared memory between the kernel programs and userspace: every key, value and constant that
 * both sides know. This is the only header that both sides include: it includes its two parts.
 * Each layout is asserted on both sides.
 *
 *   sockmesh_abi.h         sizes and names of maps, tables that the agent writes, events, globals
 *   sockmesh_abi_state.h   what the programs write: states, counters, records, session affinity
 *   sockmesh_abi_layout.h  sizes and offsets, asserted
 *
 * Rules: types have fixed widths. Padding is explicit and zero. `_be` is network byte order,
 * everything else is in the CPU's order. Times are nanoseconds of CLOCK_MONOTONIC (`_ns`). A change
 * of any layout or of a constant's meaning raises SM_ABI_VERSION, which is part of the pin path.
 */
#ifndef SOCKMESH_ABI_H
#define SOCKMESH_ABI_H

#include <linux/types.h>

#define SM_ABI_VERSION 4

/*
 * Paged tables. An id or index i lives in page i >> BITS at entry i & MASK. A table is an
 * array-of-maps. The agent adds pages as the table grows, so memory follows need. The outer size
 * bounds the table. A page that does not exist costs 8 bytes.
 */
#define SM_DESCRIPTOR_PAGE_BITS 10
#define SM_DESCRIPTOR_PAGES	4096 /* 4 Mi descriptors */
#define SM_GROUP_PAGE_BITS	10
#define SM_GROUP_PAGES		16384 /* 16 Mi groups */
#define SM_CELL_PAGE_BITS	13
#define SM_CELL_PAGES		32768 /* 256 Mi cells, 4 GiB */
#define SM_ENDPOINT_PAGE_BITS	9
#define SM_ENDPOINT_PAGES	8192 /* 4 Mi endpoints */
#define SM_CLUSTER_PAGE_BITS	9
#define SM_CLUSTER_PAGES	8192 /* 4 Mi clusters */
/* Counters are kept in shards, at entry id * SHARDS + cpu mod SHARDS. A reader adds the shards
 * up. */
#define SM_STATS_SHARD_BITS	2
#define SM_STATS_SHARDS		(1 << SM_STATS_SHARD_BITS)

/* Id 0 is "none" for services, descriptors, endpoints and clusters. */
#define SM_NONE 0

/* The pinned maps by name, in the order in which people see them. */
#define SM_MAPS(X)                                                                                 \
	X(frontends4)                                                                              \
	X(frontends6)                                                                              \
	X(frontend_filter)                                                                         \
	X(ranges)                                                                                  \
	X(heads)                                                                                   \
	X(descriptors)                                                                             \
	X(groups)                                                                                  \
	X(cells)                                                                                   \
	X(endpoints)                                                                               \
	X(endpoint_state)                                                                          \
	X(endpoint_stats)                                                                          \
	X(cluster_state)                                                                           \
	X(cluster_stats)                                                                           \
	X(unswept)                                                                                 \
	X(clients)                                                                                 \
	X(client_runs)                                                                             \
	X(connections)                                                                             \
	X(conn_overflow)                                                                           \
	X(affinity)                                                                                \
	X(asked)                                                                                   \
	X(flows)                                                                                   \
	X(flow_sources)                                                                            \
	X(served)                                                                                  \
	X(unserved)                                                                                \
	X(names)                                                                                   \
	X(events)                                                                                  \
	X(selections)                                                                              \
	X(selection_times)                                                                         \
	X(counters)                                                                                \
	X(globals)

/* Sizes of maps without a configuration. */
#define SM_DEFAULT_MAX_SERVICES		131072 /* VIPs of each family */
#define SM_DEFAULT_MAX_CONNECTIONS	131072 /* records */
#define SM_DEFAULT_MAX_AFFINITY_CLIENTS 32768
#define SM_DEFAULT_MAX_UDP_FLOWS	32768
#define SM_DEFAULT_MAX_NAMES		262144 /* parts of names */
#define SM_MAX_SERVED			65536  /* rules; an entry takes memory when it is used */
#define SM_MAX_UNSERVED			4096

/* ---- frontends: VIP -> service id. Keys are only added and removed, never rewritten. ---- */

struct sm_frontend4_key {
	__be32 addr_be;
	__be16 port_be;
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 pad;
};

struct sm_frontend6_key {
	__be32 addr_be[4];
	__be16 port_be;
	__u8 protocol;
	__u8 pad;
};

/*
 * A filter in front of the frontends, because most connects go to no service: a bit for each key,
 * at the key's hash. A bit that is 0 says that no frontend has such a key. A bit that is 1 says
 * that one may have it. The agent sets a key's bit before it adds the key, and clears the bit after
 * the last key that has it is gone. With 10,000 services about 2 % of the bits are set.
 */
#define SM_FILTER_WORD_BITS 13
#define SM_FILTER_WORDS	    (1 << SM_FILTER_WORD_BITS) /* of 64 bits: 64 KiB */

#define SM_FILTER_WORD(hash) ((__u32)((hash) >> (64 - SM_FILTER_WORD_BITS)))
#define SM_FILTER_BIT(hash)  (1ULL << (((hash) >> (58 - SM_FILTER_WORD_BITS)) & 63))

/* The high bits of a product are the hash. Neighbouring addresses get bits of their own with this
 * multiplier: of 10,000 in a row, or at random in a /16, at most 3 % share one. */
#define SM_FILTER_MULTIPLIER 0xd6e8feb86659fd93ULL

/* The hash of a struct sm_frontend4_key. */
static __inline__ __u64 sm_filter_hash4(__be32 addr_be, __be16 port_be, __u8 protocol)
{
	__u64 key = addr_be | (__u64)port_be << 32 | (__u64)protocol << 48;

	return key * SM_FILTER_MULTIPLIER;
}

/* The hash of a struct sm_frontend6_key. */
static __inline__ __u64 sm_filter_hash6(const __be32 addr_be[4], __be16 port_be, __u8 protocol)
{
	__u64 high = addr_be[0] | (__u64)addr_be[1] << 32;
	__u64 low = addr_be[2] | (__u64)addr_be[3] << 32;

	high = (high ^ ((__u64)port_be << 32 | (__u64)protocol << 48)) * SM_FILTER_MULTIPLIER;
	return (low ^ high ^ high >> 32) * SM_FILTER_MULTIPLIER;
}

/* ---- ranges: services whose VIP is a range of addresses -> service id ---- */

/*
 * The longest prefix that an address has wins. A frontend of the address comes before any range.
 * `prefix_length` counts the bits of the rest of the key: SM_RANGE_FIXED_BITS and those of the
 * address. While there is a range, all bits of the filter are 1.
 */
struct sm_range_key {
	__u32 prefix_length;
	__u8 protocol;
	__u8 pad;
	__be16 port_be;
	__be32 addr_be[4]; /* IPv4 is v4-mapped; the bits beyond the prefix are 0 */
};

#define SM_RANGE_FIXED_BITS   32 /* protocol, pad and port: a range has one port */
#define SM_RANGE_ADDRESS_BITS 128

/* ---- descriptors: what a service is now. Immutable once heads[service_id] names it. ---- */

#define SM_FAMILY_V4 4
#define SM_FAMILY_V6 6

/* The client's address is hashed (tcp_proxy hash_policy source_ip). Without this flag hashes are
 * random. */
#define SM_DESCRIPTOR_HASH_SOURCE (1U << 0)
/* A hash policy of this service needs a request (header, cookie): layer 7. */
#define SM_DESCRIPTOR_NEEDS_L7	  (1U << 1)
/* A sidecar would use TLS to some endpoint of this service (automatic mTLS). */
#define SM_DESCRIPTOR_AUTO_TLS	  (1U << 2)

struct sm_descriptor {
	/* The frontend's key again. A lookup that met a recycled hash element finds another key
	 * here, and starts over. IPv4 is v4-mapped, as in every 16-byte address. Of a range: its
	 * first address. */
	__be32 addr_be[4];
	__be16 port_be;
	__u8 protocol;
	__u8 family; /* SM_FAMILY_* of the frontend */
	__u32 service_id;
	__u32 group_first; /* groups [group_first, group_first + group_count) */
	__u32 group_count; /* >= 1 */
	/* Alias table over the first pick_size groups, at cells [pick_cell, pick_cell + pick_size).
	 * With pick_size == 1 the group is group_first and no cell is read. Groups beyond pick_size
	 * are reached only through a SM_POLICY_BY_HASH group. */
	__u32 pick_cell;
	__u32 pick_size;
	__u32 flags;	  /* SM_DESCRIPTOR_* */
	__u32 affinity_s; /* client-IP session affinity in seconds; 0: none */
	/* Descriptors for sockets that reach only one family: the same service over the hosts
	 * that have an address of it. SM_NONE: these sockets use this descriptor. */
	__u32 ipv4_only;
	__u32 ipv6_only;
	__u32 range_bits; /* a range: how many bits of addr_be it has; 0: one address */
	__u32 pad;
};

/* ---- groups: hosts among which one policy chooses. ---- */

enum sm_policy {
	SM_POLICY_LEAVE_ALONE = 0, /* do not rewrite; `reason` says why */
	/* Fail connect(); `reason` says why. The error is ECONNREFUSED, or EAFNOSUPPORT if no
	 * endpoint has an address of the socket's family. */
	SM_POLICY_REFUSE = 1,
	SM_POLICY_RANDOM = 2,	     /* alias cells over hosts */
	SM_POLICY_ROUND_ROBIN = 3,   /* schedule words, walked by `cursor` */
	SM_POLICY_LEAST_REQUEST = 4, /* see lr_* */
	SM_POLICY_MAGLEV = 5,	     /* table words: host by hash mod table_size */
	SM_POLICY_RING_HASH = 6,     /* ring cells sorted by hash */
	SM_POLICY_BY_HASH =
		7, /* table words: group (relative to group_first) by hash mod table_size */
};

enum sm_reason {
	SM_REASON_NONE = 0,
	SM_REASON_ENDPOINTS_UNKNOWN = 1, /* EDS has not answered: unknown is not empty */
	SM_REASON_CLUSTER_UNKNOWN = 2,	 /* CDS has not come: unknown is not absent */
	SM_REASON_TLS = 3,		 /* transport_socket: a connect() cannot originate TLS */
	SM_REASON_ORIGINAL_DST = 4,	 /* the destination is the endpoint */
	SM_REASON_BLACK_HOLE = 5,	 /* a cluster without discovery and endpoints */
	SM_REASON_UNSUPPORTED = 6,	 /* discovery type or endpoint addresses we cannot use */
	SM_REASON_NO_ENDPOINTS = 7,	 /* known and empty */
	SM_REASON_NO_HEALTHY = 8,	 /* endpoints, none eligible under the policy */
	SM_REASON_NO_SUBSET = 9,	 /* no subset matches and there is no fallback */
	SM_REASON_CLUSTER_ABSENT = 10,	 /* CDS came without it */
	SM_REASON_NO_REACHABLE = 11, /* endpoints, none with an address of the socket's family */
	/* A VIP that is left out, inside the range of a service. Without this entry the service
	 * would get its connections. */
	SM_REASON_LEFT_OUT = 12,
};

#define SM_GROUP_WEIGHTED                                                                          \
	(1U << 0)		     /* LEAST_REQUEST: host weights differ; alias cells over hosts \
				      */
#define SM_GROUP_FULL_SCAN (1U << 1) /* LEAST_REQUEST: compare all hosts */
#define SM_GROUP_PANIC	   (1U << 2) /* all hosts, whatever their health */
#define SM_GROUP_DEGRADED  (1U << 3) /* degraded hosts */
/* Refuse when every host is ejected: no other priority can take over, and panic is disabled
 * (healthy_panic_threshold 0). */
#define SM_GROUP_NO_PANIC  (1U << 4)

struct sm_group {
	__u32 policy; /* enum sm_policy */
	__u32 cluster_id;
	__u32 reason;	  /* enum sm_reason; LEAVE_ALONE and REFUSE */
	__u32 flags;	  /* SM_GROUP_* */
	__u32 table_cell; /* first cell of the policy's table */
	__u32 table_size; /* entries: cells for alias and ring, words (4 a cell) for the others */
	__u32 host_cell;  /* host vector: endpoint ids as words, 4 a cell */
	__u32 host_count;
	__u32 choice_count; /* LEAST_REQUEST */
	__u32 bias_q16;	    /* LEAST_REQUEST: active_request_bias * 65536 */
	/* Hash policies: hash_balance_factor; 0: off. If it is on, host_count weights follow the
	 * table, two a cell. */
	__u32 balance_percent;
	__u32 ring_shift; /* RING_HASH: 64 - log2(segments); see SM_RING_MAX_WALK */
	__u16 priority;
	__u16 leg;	   /* of the descriptor's traffic split */
	__u32 locality_id; /* name id; SM_NONE: several or none */
	/* The only field that changes. ROUND_ROBIN: the next entry. LEAST_REQUEST with weights: see
	 * SM_LR_CURSOR. */
	__u64 cursor;
};

/*
 * What a group of weighted LEAST_REQUEST knows of its hosts' loads (see least_request.h): the
 * floor, which is the least load that the last round of looks saw (0: none yet); the least load in
 * the present round (0: none yet); and the host of the next look. Loads here are 20.4, rounded
 * down.
 */
#define SM_LR_COARSE_BITS  24
#define SM_LR_COARSE_MAX   ((1U << SM_LR_COARSE_BITS) - 1)
#define SM_LR_COARSE_SHIFT 12 /* from 16.16 */
#define SM_LR_CURSOR(floor, least, at)                                                             \
	((__u64)(floor) | (__u64)(least) << SM_LR_COARSE_BITS |                                    \
	 (__u64)(at) << (2 * SM_LR_COARSE_BITS))
#define SM_LR_FLOOR(cursor) ((__u32)(cursor)&SM_LR_COARSE_MAX)
#define SM_LR_LEAST(cursor) ((__u32)((cursor) >> SM_LR_COARSE_BITS) & SM_LR_COARSE_MAX)
#define SM_LR_AT(cursor)    ((__u32)((cursor) >> (2 * SM_LR_COARSE_BITS)))

/*
 * A RING_HASH table has segments = 1 << (64 - ring_shift), at least 4. First come the words of the
 * segments, four a cell, at table_cell; then, at table_cell + segments / 4, table_size ring cells
 * in strictly ascending order of hash. Word hash >> ring_shift is the index of the first ring cell
 * whose hash is not below the start of that segment, or table_size where there is none. From there
 * the first cell with cell.hash >= hash is the choice; past the last cell it is cell 0. No walk
 * looks at more than SM_RING_MAX_WALK cells, the wrapped-to cell 0 not counted.
 */
#define SM_RING_MAX_WALK 32

/* ---- cells: the selection tables, in ranges that userspace allocates. ---- */

union sm_cell {
	/* Alias table (Vose): entry i is `here` when the fraction is below `threshold`, else
	 * `other`. An entry that is always `here` has threshold 0xffffffff and other == here. */
	struct {
		__u32 threshold;
		__u32 here;
		__u32 other;
		__u32 inverse_q16; /* LEAST_REQUEST: the heaviest host's draws per draw of host i */
	} alias;
	struct {
		__u64 hash;
		__u32 host;
		__u32 pad;
	} ring;
	__u32 words[4];
	__u64 weight_bits[2]; /* hosts' shares of the load, doubles; see sm_group.balance_percent */
};

/* ---- endpoints ---- */

struct sm_endpoint {
	__be32 addr_be[4];
	__be16 port_be;
	__u8 family;	 /* SM_FAMILY_*; 0: the id is free */
	__u8 eds_health; /* core.v3.HealthStatus; for people */
	__u32 cluster_id;
	__u32 locality_id; /* name id */
	__u32 weight;	   /* for people: what counts is in the tables */
	__u32 priority;	   /* for people */
	/* The same host's address of the other family. */
	__be32 other_addr_be[4];
	__be16 other_port_be;
	__u8 other_family; /* SM_FAMILY_*; 0: it has none */
	__u8 pad;
	__u32 pad2[2];
};

/* ---- what connections leave behind: states, counters, records, session affinity ---- */

#include "sockmesh_abi_state.h"

/* ---- who is served: whose connects are looked at; see select/served.h ---- */

enum sm_served_kind {
	SM_SERVED_CGROUP = 1,  /* id: of a cgroup; the rule is also for all below it */
	SM_SERVED_NETNS = 2,   /* id: the inode of a network namespace */
	SM_SERVED_SIDECAR = 3, /* id: 0, 1, ... without gaps: how a sidecar proxy is recognised */
};

struct sm_served_key {
	__u64 id;
	__u32 kind; /* enum sm_served_kind */
	__u32 pad;
};

#define SM_SIDECAR_PORTS 4
#define SM_MAX_SIDECARS	 64

struct sm_served_rule {
	/* NETNS: the cookie of the namespace that the rule met first; 0: none yet. A later one may
	 * have the same inode. SIDECAR: of the agent's own namespace, which has no sidecar. */
	__u64 netns_cookie;
	__u32 let_in; /* CGROUP, NETNS: 1: is served, 0: is left out */
	/* SIDECAR: a namespace in which all of these ports have a listener has a sidecar. In the
	 * CPU's byte order; 0: none. */
	__u16 ports[SM_SIDECAR_PORTS];
	__u32 pad;
};

/* What there is to look at (sm_globals.served_flags). 0: everything is served. */
#define SM_SERVED_BY_CGROUP	 (1U << 0)
#define SM_SERVED_BY_NETNS	 (1U << 1)
#define SM_SERVED_NOT_SIDECARS	 (1U << 2)
#define SM_SERVED_NOT_BY_DEFAULT (1U << 3)

enum sm_unserved_reason {
	SM_UNSERVED_NOT = 0, /* it is served */
	SM_UNSERVED_LEFT_OUT = 1,
	SM_UNSERVED_SIDECAR = 2,
	SM_UNSERVED_DEFAULT = 3, /* no rule lets it in */
};

/* Who connected to a VIP and was not served. */
struct sm_unserved_key {
	__u64 netns_cookie;
	__u64 cgroup_id; /* of the process */
};

struct sm_unserved {
	__u64 seen_ns; /* last, exact to a few seconds */
	__u32 reason;  /* enum sm_unserved_reason */
	__u32 netns_inode;
};

/* ---- names: what an id means, without the agent's memory ---- */

enum sm_name_kind {
	SM_NAME_SERVICE = 1,
	SM_NAME_CLUSTER = 2,
	SM_NAME_LOCALITY = 3,
};

#define SM_NAME_PART 112

/* Names of any length: part 0, 1, ... of `parts`. */
struct sm_name_key {
	__u32 id;
	__u16 kind; /* enum sm_name_kind */
	__u16 part;
};

struct sm_name {
	__u16 length; /* bytes in this part */
	__u16 parts;
	__u32 pad;
	char text[SM_NAME_PART];
};

/* ---- events: hints; the states are the truth ---- */

enum sm_event_kind {
	SM_EVENT_DETECTED = 1,	/* a detector fired in sock_ops */
	SM_EVENT_UNEJECTED = 2, /* an ejection was over, and sock_ops noticed it first */
};

struct sm_event {
	__u32 kind; /* enum sm_event_kind */
	__u32 endpoint_id;
	__u32 cluster_id;
	__u32 detector;	 /* enum sm_detector; SM_EVENT_DETECTED */
	__u32 detection; /* enum sm_detection: EJECTED, NOT_ENFORCED or OWN */
	__u32 pad;
	__u64 client; /* whose failures; see SM_CLIENT_IS_POD */
	__u64 at_ns;
};

/* ---- counters of the datapath itself, per CPU ---- */

enum sm_counter {
	SM_COUNTER_LOOKUP_RETRY = 0,	 /* a recycled hash element was seen through */
	SM_COUNTER_LOOKUP_EXHAUSTED = 1, /* ... too often in a row; the address was left alone */
	SM_COUNTER_CONN_OVERFLOW = 2,	 /* set full: conn_overflow took the record */
	SM_COUNTER_CONN_LOST = 3,	 /* no room there either: the connection is not counted */
	SM_COUNTER_TABLE_BROKEN = 4,	 /* an index led nowhere; the address was left alone */
	SM_COUNTER_EVENTS_DROPPED = 5,	 /* the ring was full */
	SM_COUNTER_FAMILY_MISMATCH = 6,	 /* no endpoint that the socket reaches: EAFNOSUPPORT */
	SM_COUNTER_AFFINITY_LOST = 7,	 /* the kernel refused to remember a client's endpoint */
	SM_COUNTER_CALLBACKS_LOST =
		8,		   /* another program took TCP's callbacks away from a connection */
	SM_COUNTER_CONN_SWEPT = 9, /* records whose socket was gone, ended by the sweep */
	SM_COUNTER_FLOWS_CREATED = 10,
	SM_COUNTER_FLOWS_MOVED = 11, /* to another endpoint: the one before may not be used */
	SM_COUNTER_FLOWS_ENDED = 12, /* their socket was closed; the others are there or evicted */
	SM_COUNTER_FLOWS_LOST = 13, /* the kernel refused to remember one: answers show the endpoint
				     */
	SM_COUNTER_LEFT_STALE = 14, /* left alone, because the time was past stale_from_ns */
	SM_COUNTERS = 15,
};

/* ---- the agent: which process it is (its own sockets are never rewritten), and whether what it
 * wrote still counts ---- */

struct sm_globals {
	__u64 agent_start_ns;	  /* start_boottime of the agent's thread group leader */
	__u32 agent_tgid;	  /* in the initial PID namespace; 0: no agent */
	__u32 conn_overflow_live; /* records in conn_overflow now; 0 spares the lookup */
	__u32 udp_used; /* 1: a socket has sent UDP to a VIP; 0 spares every receiver a lookup */
	__u32 served_flags; /* SM_SERVED_*, by the agent */
	__u32 served_epoch; /* the agent raises it after each change of `served` or the flags */
	__u32 clients;	    /* places given to clients ever */
	__u32 pods_epoch;   /* the agent raises it when pod_parents changes */
	__u32 sample_below; /* a selection with a lower hash is sampled; see struct sm_watcher */
	/* From this time on connections to services are left alone (setting stale_after). The agent
	 * moves it on while it hears the control plane. 0: never. */
	__u64 stale_from_ns;
	__u64 pod_parents[SM_POD_PARENTS]; /* ids of cgroups; 0: none */
	__u64 pad[2];
	__u64 selections;      /* given a number in `selections` ever */
	__u32 histogram_below; /* the agent: of selections whose time is counted; 0: of none */
	__u32 pad2;
	struct sm_watcher watchers[SM_WATCHERS];
};

/*
 * What the agent sets in read-only data before loading. The empty arrays anchor the types of the
 * tables' values: clang describes a type that only an inner map points to as a forward declaration,
 * which libbpf refuses.
 */
struct sm_settings {
	__u32 conn_set_mask;  /* sets - 1, from the size of the (perhaps adopted) maps */
	__u32 node_userns;    /* inode of the agent's user namespace */
	__u32 affinity_share; /* entries of `affinity` that one client may have */
	__u32 overflow_share; /* records in conn_overflow that one client may have */
	__u64 node_netns; /* cookie of the node's own network namespace, in which the agent runs */
	struct sm_descriptor descriptor[0];
	struct sm_group group[0];
	union sm_cell cell[0];
	struct sm_endpoint endpoint[0];
	struct sm_endpoint_state endpoint_state[0];
	struct sm_endpoint_stats endpoint_stats[0];
	struct sm_cluster_state cluster_state[0];
	struct sm_cluster_stats cluster_stats[0];
};

#ifndef SM_NO_LAYOUT /* tools/checks/abi.py writes the assertions anew */
#include "sockmesh_abi_layout.h"
#endif

#endif /* SOCKMESH_ABI_H */
