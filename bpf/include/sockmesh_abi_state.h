/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of sockmesh_abi.h that the programs write: what connections leave behind. Include
 * sockmesh_abi.h, not this header.
 */
#ifndef SOCKMESH_ABI_STATE_H
#define SOCKMESH_ABI_STATE_H

#ifndef SOCKMESH_ABI_H
#error "include sockmesh_abi.h"
#endif

/* ---- endpoints ---- */

/*
 * How connect attempts ended, by client: that of number n counts at n mod SM_OUTCOME_CLIENTS. The
 * detectors of rates judge each client's outcomes by themselves.
 */
#define SM_OUTCOME_CLIENTS 16

struct sm_outcomes {
	__u32 served;
	__u32 failed; /* so that it may be the endpoint's fault */
};

/*
 * Shared by all CPUs. Every connection touches the first cache line. Only ejections write the
 * second, which is the detector's memory and outlives the agent. The others are counts.
 */
struct sm_endpoint_state {
	__u32 active; /* connections that hold a record naming this endpoint */
	__u32 inward; /* of them: those whose record says SM_CONN_INWARD. They are no load */
	__u64 ejected_until_ns; /* 0: in rotation; a time in the past: due to be unejected */
	/* Not 0: some client may have ejected the endpoint for itself, until this time at the
	 * latest. Its struct sm_run says so. */
	__u64 own_until_ns;
	/* Which clients used the endpoint lately; see outlier_rules.h. */
	__u64 users;	    /* a bit for each, in this epoch */
	__u64 users_before; /* in the epoch before */
	__u32 user[2];	    /* the last two of them, by their place in `clients`; 0: none */
	__u32 users_epoch;
	__u32 runs; /* of struct sm_run that count failures of this endpoint. 0: no need to look */
	/* 1: no cluster lists the endpoint any more, and it is not ejected: nobody would uneject
	 * it. Set by the agent; see outlier_rules.h. */
	__u16 withdrawn;
	/* 1: connects have ended since the agent's sweep last took this mark. The programs set it,
	 * and then the cluster's bit in `unswept`. */
	__u16 unswept;
	__u32 consecutive_failures; /* in a row, of the client that failed last; for people */

	__u64 ejected_at_ns;   /* the last ejection; 0: never */
	__u64 unejected_at_ns; /* the last unejection; 0: never */
	__u32 ejections;       /* ever */
	__u32 multiplier;      /* of base_ejection_ns; the agent lets it decay */
	__u32 detector;	       /* enum sm_detector of the last ejection */
	__u32 returns;	       /* unejections ever: they end every client's run */
	__u64 pad;
	/* Which clients have lately ejected the endpoint for themselves; bits as in `users`. */
	__u64 votes;
	__u64 votes_before;
	__u32 votes_epoch;
	__u32 born; /* tells the endpoints from each other that have this id one after the other */

	struct sm_outcomes outcomes[SM_OUTCOME_CLIENTS];
};

/*
 * `unswept` has a bit for each cluster: an endpoint of the cluster has been marked since the bit
 * was cleared. So the agent finds the clusters that had traffic without a look at each of them.
 */
#define SM_UNSWEPT_WORDS ((SM_CLUSTER_PAGES << SM_CLUSTER_PAGE_BITS) / 64) /* 512 KiB */

enum sm_failure {
	SM_FAILURE_REFUSED = 0,
	SM_FAILURE_TIMED_OUT = 1,
	SM_FAILURE_UNREACHABLE = 2,
	SM_FAILURE_RESET = 3,	  /* reset while connecting, other than a refusal */
	SM_FAILURE_LOCAL = 4,	  /* no route, no port, own policy: never the endpoint's fault */
	SM_FAILURE_ABANDONED = 5, /* the application gave up while connecting */
	SM_FAILURES = 6,
};

enum sm_close {
	SM_CLOSE_CLEAN = 0,
	SM_CLOSE_RESET_BY_PEER = 1,
	SM_CLOSE_RESET_BY_US = 2,
	SM_CLOSE_TIMED_OUT = 3,
	SM_CLOSES = 4,
};

/* Log2 histograms: bucket i counts values <= 64 us << i; the last counts the rest (> 1.05 s). */
#define SM_HISTOGRAM_BUCKETS  16
#define SM_HISTOGRAM_FIRST_US 64

struct sm_endpoint_stats {
	__u64 selected;
	__u64 established;
	__u64 failed[SM_FAILURES];
	__u64 closed[SM_CLOSES];
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 retransmits; /* segments */
	__u64 disputed;	   /* failures that did not count against the endpoint; outlier_rules.h */
	__u32 connect_us[SM_HISTOGRAM_BUCKETS]; /* time to establish */
	__u32 rtt_us[SM_HISTOGRAM_BUCKETS];	/* smoothed RTT at close */
};

/* ---- clusters and outlier detection ---- */

/* envoy.data.cluster.v3.OutlierEjectionType, number for number. */
enum sm_detector {
	SM_DETECTOR_CONSECUTIVE_5XX = 0,
	SM_DETECTOR_CONSECUTIVE_GATEWAY_FAILURE = 1,
	SM_DETECTOR_SUCCESS_RATE = 2,
	SM_DETECTOR_CONSECUTIVE_LOCAL_ORIGIN_FAILURE = 3,
	SM_DETECTOR_SUCCESS_RATE_LOCAL_ORIGIN = 4,
	SM_DETECTOR_FAILURE_PERCENTAGE = 5,
	SM_DETECTOR_FAILURE_PERCENTAGE_LOCAL_ORIGIN = 6,
	SM_DETECTORS = 7,
};

/* Every `threshold` failures in a row are detected, and eject with enforcing_percent. */
struct sm_consecutive_rule {
	__u32 threshold; /* 0: never */
	__u16 enforcing_percent;
	__u16 detector; /* enum sm_detector */
};

#define SM_CONSECUTIVE_RULES 2

/* One cache line, shared by all CPUs. The agent writes everything except the two counts. */
struct sm_cluster_state {
	__u32 active;	      /* connections whose record says SM_CONN_IN_CLUSTER */
	__u32 ejected;	      /* endpoints ejected now */
	__u32 ejection_limit; /* ejections allowed at once */
	__u32 jitter_ms;      /* at most; added to each ejection */
	/* In the order in which they are asked. */
	struct sm_consecutive_rule consecutive[SM_CONSECUTIVE_RULES];
	__u64 connect_timeout_ns;
	__u64 base_ejection_ns; /* 0: the cluster has no outlier detection */
	__u64 max_ejection_ns;	/* without jitter */
	__u64 interval_ns;	/* between the agent's sweeps; multipliers decay by 1 in it */
};

struct sm_cluster_stats {
	__u64 refused_no_endpoints;
	__u64 left_alone;
	__u64 reselected;	  /* first choice was ejected */
	__u64 hash_fallback;	  /* a hash policy without a usable hash */
	__u64 ejections_overflow; /* not ejected: the limit was reached */
	__u64 ejections_detected[SM_DETECTORS];
	__u64 ejections_enforced[SM_DETECTORS];
	__u64 ejections_own; /* of an endpoint by one client, for itself alone */
};

/* What became of a detection. */
enum sm_detection {
	SM_DETECTION_NONE = 0, /* ejected already, or the cluster has no outlier detection */
	SM_DETECTION_EJECTED = 1,
	SM_DETECTION_OVERFLOW = 2,     /* the limit of ejections was reached */
	SM_DETECTION_NOT_ENFORCED = 3, /* the dice said no */
	SM_DETECTION_OWN = 4,	       /* ejected for the client alone that met the failures */
};

/* What the agent hands to sm_agent_detect and sm_agent_uneject (BPF_PROG_TEST_RUN). */
struct sm_agent_request {
	__u32 endpoint_id;
	__u32 detector; /* enum sm_detector */
	__u32 enforcing_percent;
	__u32 answer; /* enum sm_detection; sm_agent_uneject: 1 where it was ejected */
	__u32 client; /* whose outcomes say so: place in `clients` */
	__u32 pad;
};

/* ---- clients: see conn/client.h ---- */

/*
 * Who a client is, as 64 bits: a pod by its cgroup, or else a network namespace by its cookie. The
 * namespaces that an unprivileged user made are one client, by the user's id.
 */
#define SM_CLIENT_IS_POD  (1ULL << 62)
#define SM_CLIENT_IS_USER (2ULL << 62)
#define SM_CLIENT_KIND	  (3ULL << 62)

#define SM_CLIENTS	 1024		  /* places; a power of two */
#define SM_CLIENT_NONE	 0		  /* a place that nobody has */
#define SM_CLIENT_OTHERS (SM_CLIENTS - 1) /* all those who find no place share this one */
#define SM_CLIENT_RUNS	 128		  /* endpoints that fail one client at once */

struct sm_client_line {
	__u64 id;      /* 0: the place is free */
	__u64 used_ns; /* about when the client was last seen */
	__u32 number;  /* which bit of sm_endpoint_state.users is its */
	__u32 records; /* its records in conn_overflow; bounded by sm_settings.overflow_share */
	/* Its entries in `affinity`, at most: the agent takes off what the kernel has dropped.
	 * Bounded by sm_settings.affinity_share. */
	__u32 affinities;
	__u32 pad[9];
};

/*
 * One client's failures in a row at one endpoint, and its own ejection of the endpoint. A client's
 * runs are at place * SM_CLIENT_RUNS and behind. Only failures and what ends them touch a run.
 */
struct sm_run {
	__u64 tag; /* endpoint id << 32 | whose; 0: free, 1: being written */
	__u32 failures;
	__u32 returns;		/* the endpoint's, when the last failure was counted */
	__u64 ejected_until_ns; /* 0: not ejected by this client; a time in the past: over */
	__u64 ejected_at_ns;
	__u64 over_ns;	    /* when the last ejection was, or will be, over */
	__u64 failed_at_ns; /* the last failure */
	__u32 multiplier;   /* of base_ejection_ns at the last ejection */
	__u32 ejections;
	__u32 detector; /* enum sm_detector of the last ejection */
	__u32 pad;
};

/* Whose run of which endpoint this is. Never 0 or 1: no endpoint has id 0. */
static __inline__ __u64 sm_run_tag(__u32 endpoint_id, __u32 born, __u64 client_id)
{
	return (__u64)endpoint_id << 32 |
	       (((__u32)client_id ^ (__u32)(client_id >> 32)) * 0x9e3779b1U ^ born);
}

/* The cgroups that pods' cgroups lie in (kubepods and its classes), by id. The agent finds them. */
#define SM_POD_PARENTS 8

/* ---- connection records: see conn/record.h ---- */

enum sm_conn_state {
	SM_CONN_FREE = 0,
	SM_CONN_PENDING = 1, /* connect() rewrote, TCP has not sent a SYN (perhaps not yet) */
	SM_CONN_CONNECTING = 2,
	SM_CONN_ESTABLISHED = 3,
	SM_CONN_OVERDUE = 4,  /* connecting for longer than connect_timeout: counted as timed out */
	SM_CONN_DATAGRAM = 5, /* a connected UDP socket, and no answer was seen yet */
	SM_CONN_ANSWERED = 6, /* a connected UDP socket that the endpoint has sent a datagram */
};

/* Counted in sm_cluster_state.active: of clusters with bounded load, when the choice was made. */
#define SM_CONN_IN_CLUSTER (1U << 0)
/* A UDP socket had received something before this connect(): what it received later is unknown. */
#define SM_CONN_HEARD	   (1U << 1)
/* The connection never leaves its client's network namespace: it takes a route to an address of
 * the namespace's own. What the client serves itself says nothing about the endpoint. */
#define SM_CONN_INWARD	   (1U << 2)
/* The service's VIP is a range: vip_be is its first address, and `asked` has the socket's own. */
#define SM_CONN_OF_RANGE   (1U << 3)

/* One cache line, which begins with the tag: usually finding a record is one read. */
struct sm_connection {
	__u64 cookie; /* the socket's; 0: the record is free */
	__be32 vip_be[4];
	__be16 vip_port_be;
	__u8 state; /* enum sm_conn_state */
	__u8 flags; /* SM_CONN_* from SM_CONN_IN_CLUSTER on */
	__u32 endpoint_id;
	/* Of the set, not of the record, and used in way 0 alone: bit w is set while way w is
	 * taken. While it is 0, nothing else of the set needs to be read. */
	__u32 other_ways;
	__u32 gone_mark;     /* see hooks/sweep.h; 0: none */
	__u64 connect_at_ns; /* when the SYN left, on the monotonic clock; 0: it has not
			      */
	__u32 client;	     /* its place in `clients`; 0: the attempt has not ended yet */
	__u32 holder;	     /* in conn_overflow: the client whose share it takes; else 0 */
	__u64 sk; /* the socket's address in the kernel: for programs alone; see hooks/sweep.h */
};

/* In `asked`, of a socket: the address in a range that its last connect() named. */
struct sm_asked {
	__be32 addr_be[4];
};

/* Four ways a set, in one array. The record of set s and way w is at w * sets + s. */
#define SM_CONN_WAYS 4

/* What the agent hands to sm_sweep_sets (BPF_PROG_TEST_RUN): some of the table. */
#define SM_SWEEP_SETS 256

struct sm_sweep_sets {
	__u32 first;
	__u32 count; /* at most SM_SWEEP_SETS */
	__u32 gone;  /* answer: records whose socket is gone, seen for the first time */
	__u32 ended; /* answer: those that were seen before, and ended now */
};

/* The same for sm_sweep_overflow: some keys of conn_overflow. */
#define SM_SWEEP_COOKIES 16

struct sm_sweep_cookies {
	__u64 cookie[SM_SWEEP_COOKIES]; /* 0: none */
	__u32 gone;
	__u32 ended;
};

/* ---- session affinity: where a client went last; see affinity.h ---- */

/* The VIP and not its service id: ids are reused. The namespace of the process that connects,
 * because anybody can have any address in a namespace of their own. */
struct sm_affinity_key {
	__u64 netns_cookie;
	__be32 client_be[4];
	__be32 vip_be[4];
	__be16 vip_port_be;
	__u8 protocol;
	__u8 range_bits; /* as the descriptor's: a range begins with the address of another VIP */
	__u32 pad;
};

struct sm_affinity {
	__be32 addr_be[4]; /* of the endpoint: the id may belong to another endpoint by now */
	__be16 port_be;
	__u16 client; /* whose share of `affinity` the entry takes: its place in `clients` */
	__u32 endpoint_id;
	/* A hint: where the endpoint was found, in the descriptor's groups and the group's hosts.
	 */
	__u32 group;
	__u32 host;
	__u64 used_ns; /* the last connect() */
};

/* ---- flows: UDP of sockets that name a VIP with each send; see flow.h ---- */

/*
 * In `flows` the address is a VIP. In `flow_sources` it is an endpoint's, as the kernel shows it to
 * a receiver; an address of zeros is the first link of the socket's chain of flows.
 */
struct sm_flow_key {
	__u64 cookie; /* of the socket */
	__be32 addr_be[4];
	__be16 port_be;
	__u16 pad;
	__u32 pad2;
};

/* An address and its port: a VIP, or what a socket sends to. */
struct sm_flow_address {
	__be32 addr_be[4];
	__be16 port_be;
	__u16 pad;
};

/* Another VIP's flow of this socket goes to the same endpoint. Answers of the endpoint show the VIP
 * that was sent to last, so each send says its VIP. */
#define SM_FLOW_SHARED (1U << 0)

struct sm_flow {
	/* The key again: an element that the kernel's LRU recycled has another one. Read last. */
	__u64 cookie;
	struct sm_flow_address vip;
	__u32 flags;		     /* SM_FLOW_* */
	struct sm_affinity last;     /* the endpoint; used_ns is exact to 2.6 s */
	struct sm_flow_address next; /* the socket's flow before this one; all zero: none */
	__u32 service_id;	     /* a hint: the VIP's service at the last send */
	__u64 seen_jiffies;	     /* when the entries of the flow were last looked at */
};

struct sm_flow_source {
	__u64 cookie; /* the key's again */
	struct sm_flow_address vip;
	__u32 endpoint_id; /* SM_NONE in the first link of a chain */
	__u64 answered_ns; /* when an answer last counted as served, exact to a second; 0: never */
};

/* ---- sampled selections; see select/sample.h ---- */

/*
 * Somebody who watches selections: those whose hash is below `below` are shown. Whoever claims a
 * place in sm_globals.watchers swaps `until_ns`, and moves it on while he watches. A place whose
 * time is over is free. After a claim he raises sm_globals.sample_below to `below`, which the
 * programs lower again when no watcher needs it.
 */
struct sm_watcher {
	__u64 until_ns; /* 0: free */
	__u32 below;
	__u32 pad;
};

#define SM_WATCHERS 16

/* The hash of a selection is evenly spread over 32 bits. The bound for one in `one_in`; 0: none. */
static __inline__ __u32 sm_sample_bound(__u32 one_in)
{
	if (one_in <= 1)
		return one_in ? 0xffffffff : 0;
	return 0xffffffff / one_in + 1;
}

/* What was selected for whom. Number n is in `selections` at n mod SM_SELECTIONS, until number
 * n + SM_SELECTIONS takes its place: a reader compares the number before and after. */
struct sm_selection {
	__u64 number;	       /* from 1 on; 0: never used; SM_SELECTION_BUSY: being written */
	__u64 at_ns;	       /* when the selection began */
	__u64 client;	       /* who asked; see SM_CLIENT_IS_POD */
	__be32 vip_be[4];      /* as the socket asked */
	__be32 endpoint_be[4]; /* the endpoint's first address */
	__be16 vip_port_be;
	__be16 endpoint_port_be;
	__u32 endpoint_id; /* SM_NONE: of none; the policy is LEAVE_ALONE or REFUSE */
	__u32 cluster_id;
	__u32 took_ns; /* from the service to the verdict, with its record */
	__u32 hash;
	__u32 tgid;	 /* of the process, in the initial PID namespace */
	__u8 protocol;	 /* IPPROTO_* */
	__u8 policy;	 /* enum sm_policy */
	__u8 reason;	 /* enum sm_reason */
	__u8 kind;	 /* enum sm_selection_kind */
	char thread[16]; /* its name, which it may have chosen; ends at a 0 */
	__u32 pad;
};

#define SM_SELECTIONS	  2048 /* a power of two */
#define SM_SELECTION_BUSY (~0ULL)

enum sm_selection_kind {
	SM_SELECTION_CONNECT = 1, /* connect() of TCP or UDP */
	SM_SELECTION_FLOW = 2,	  /* the first send of a UDP flow, or the first after it moved */
};

/* How long sampled selections of an endpoint took, per CPU. Buckets as of SM_HISTOGRAM_BUCKETS. */
#define SM_SELECTION_FIRST_NS SM_HISTOGRAM_FIRST_US

struct sm_selection_times {
	__u64 count[SM_HISTOGRAM_BUCKETS];
	__u64 sum_ns;
};

#endif /* SOCKMESH_ABI_STATE_H */
