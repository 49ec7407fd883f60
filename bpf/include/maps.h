/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Map declarations, and the lookups of the paged tables. Sizes marked "agent" are set from the
 * configuration before loading.
 */
#ifndef SOCKMESH_MAPS_H
#define SOCKMESH_MAPS_H

#include "map_values.h"
#include "sockmesh_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SM_DEFAULT_MAX_SERVICES); /* agent: max_services */
	__type(key, struct sm_frontend4_key);
	__type(value, __u32); /* service id */
} frontends4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SM_DEFAULT_MAX_SERVICES); /* agent: max_services */
	__type(key, struct sm_frontend6_key);
	__type(value, __u32); /* service id */
} frontends6 SEC(".maps");

/* See SM_FILTER_WORDS. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SM_FILTER_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} frontend_filter SEC(".maps");

/* See struct sm_range_key. An entry takes memory when it is there. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SM_DEFAULT_MAX_SERVICES); /* agent: max_services */
	__type(key, struct sm_range_key);
	__type(value, __u32); /* service id */
} ranges SEC(".maps");

/* By service id: the index of its current descriptor. One aligned word is the whole switch. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SM_DEFAULT_MAX_SERVICES + 1); /* agent: max_services + 1 */
	__type(key, __u32);
	__type(value, __u32);
} heads SEC(".maps");

/*
 * A paged table NAME of struct/union TYPE and NAME_at(i): the entry, or NULL if there is no page.
 * The verifier inlines both lookups into bounds checks and loads.
 */
#define SM_PAGED_TABLE(NAME, TYPE, BITS, PAGES)                                                    \
	struct NAME##_page {                                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(max_entries, 1 << (BITS));                                                  \
		__type(key, __u32);                                                                \
		__type(value, TYPE);                                                               \
	};                                                                                         \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                          \
		__uint(max_entries, PAGES);                                                        \
		__type(key, __u32);                                                                \
		__array(values, struct NAME##_page);                                               \
	} NAME SEC(".maps");                                                                       \
	static __always_inline TYPE *NAME##_at(__u32 index)                                        \
	{                                                                                          \
		__u32 page_index = index >> (BITS);                                                \
		__u32 entry = index & ((1 << (BITS)) - 1);                                         \
		void *page = bpf_map_lookup_elem(&NAME, &page_index);                              \
                                                                                                   \
		return page ? bpf_map_lookup_elem(page, &entry) : NULL;                            \
	}

SM_PAGED_TABLE(descriptors, struct sm_descriptor, SM_DESCRIPTOR_PAGE_BITS, SM_DESCRIPTOR_PAGES)
SM_PAGED_TABLE(groups, struct sm_group, SM_GROUP_PAGE_BITS, SM_GROUP_PAGES)
SM_PAGED_TABLE(cells, union sm_cell, SM_CELL_PAGE_BITS, SM_CELL_PAGES)
SM_PAGED_TABLE(endpoints, struct sm_endpoint, SM_ENDPOINT_PAGE_BITS, SM_ENDPOINT_PAGES)
SM_PAGED_TABLE(endpoint_state, struct sm_endpoint_state, SM_ENDPOINT_PAGE_BITS, SM_ENDPOINT_PAGES)
SM_PAGED_TABLE(endpoint_stats, struct sm_endpoint_stats,
	       SM_ENDPOINT_PAGE_BITS + SM_STATS_SHARD_BITS, SM_ENDPOINT_PAGES)
SM_PAGED_TABLE(cluster_state, struct sm_cluster_state, SM_CLUSTER_PAGE_BITS, SM_CLUSTER_PAGES)
SM_PAGED_TABLE(cluster_stats, struct sm_cluster_stats, SM_CLUSTER_PAGE_BITS + SM_STATS_SHARD_BITS,
	       SM_CLUSTER_PAGES)

/* See SM_UNSWEPT_WORDS. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SM_UNSWEPT_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} unswept SEC(".maps");

/* Set before loading. */
const volatile struct sm_settings settings = {
	.conn_set_mask = SM_DEFAULT_MAX_CONNECTIONS / SM_CONN_WAYS - 1};

/* conn/client.h alone writes these three. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SM_CLIENTS);
	__type(key, __u32);
	__type(value, struct sm_client_line);
} clients SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SM_CLIENTS *SM_CLIENT_RUNS);
	__type(key, __u32);
	__type(value, struct sm_run);
} client_runs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SM_CLIENTS_SEEN);
	__type(key, __u32);
	__type(value, struct sm_client_seen);
} clients_seen SEC(".maps");

/* Connection records; record.h alone touches these two. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SM_DEFAULT_MAX_CONNECTIONS); /* agent: a power of two */
	__type(key, __u32);
	__type(value, struct sm_connection);
} connections SEC(".maps");

/* Those that found their set full, by socket cookie. Memory follows need. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4 * SM_DEFAULT_MAX_CONNECTIONS); /* agent: four times connections */
	__type(key, __u64);
	__type(value, struct sm_connection);
} conn_overflow SEC(".maps");

/* What a record in conn_overflow begins as: free. */
const struct sm_connection sm_no_connection = {};

/* The last endpoint of each client of a service with session affinity. Only affinity.h touches
 * this map. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SM_DEFAULT_MAX_AFFINITY_CLIENTS); /* agent: max_affinity_clients */
	__type(key, struct sm_affinity_key);
	__type(value, struct sm_affinity);
} affinity SEC(".maps");

/* The address that a socket asked for, of a service whose VIP is a range. It goes with the socket.
 * Only asked.h touches this map. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sm_asked);
} asked SEC(".maps");

/* Of sockets that name a VIP with each send: the endpoint of each VIP, and the VIP of each
 * endpoint. Only flow.h touches these two. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SM_DEFAULT_MAX_UDP_FLOWS); /* agent: max_udp_flows */
	__type(key, struct sm_flow_key);
	__type(value, struct sm_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2 * SM_DEFAULT_MAX_UDP_FLOWS); /* agent: twice flows */
	__type(key, struct sm_flow_key);
	__type(value, struct sm_flow_source);
} flow_sources SEC(".maps");

/* By the low bits of the namespace's cookie; client_address.h alone touches it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SM_NETNS_ADDRESS_SLOTS);
	__type(key, __u32);
	__type(value, struct sm_netns_address);
} netns_addresses SEC(".maps");

/* policy/draw.h alone touches it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sm_random);
} random_state SEC(".maps");

/* bounded_load.h alone touches these two. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SM_BALANCE_ORDERS); /* by the low bits of the seed */
	__type(key, __u32);
	__type(value, struct sm_balance_order);
} balance_orders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SM_BALANCE_SCRATCH);
	__type(key, __u32);
	__type(value, struct sm_balance_scratch);
} balance_scratch SEC(".maps");

/* Who is served, and who was not. Only served.h touches these three. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SM_MAX_SERVED);
	__type(key, struct sm_served_key);
	__type(value, struct sm_served_rule);
} served SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SM_MAX_UNSERVED);
	__type(key, struct sm_unserved_key);
	__type(value, struct sm_unserved);
} unserved SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SM_VERDICT_SLOTS);
	__type(key, __u32);
	__type(value, struct sm_verdict);
} verdicts SEC(".maps");

/* Only userspace writes and reads this map. It is declared here so that names are pinned with
 * the other maps, and the CLI can read them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SM_DEFAULT_MAX_NAMES); /* agent */
	__type(key, struct sm_name_key);
	__type(value, struct sm_name);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* select/sample.h alone writes these two. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SM_SELECTIONS);
	__type(key, __u32);
	__type(value, struct sm_selection);
} selections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sm_selection_times);
} selection_times SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SM_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sm_globals);
} globals SEC(".maps");

/* Counts what is rare. */
SM_VERIFIED_ONCE int sm_count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
	return 0;
}

static __always_inline struct sm_globals *sm_globals(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&globals, &zero);
}

/* A socket sends UDP to a VIP: from now on receivers are looked at. */
static __always_inline void sm_udp_begins(void)
{
	struct sm_globals *globals = sm_globals();

	if (globals && unlikely(!READ_ONCE(globals->udp_used)))
		WRITE_ONCE(globals->udp_used, 1);
}

/* Whether any socket has sent UDP to a VIP since the maps were made. */
static __always_inline int sm_is_udp_used(void)
{
	struct sm_globals *globals = sm_globals();

	return globals && READ_ONCE(globals->udp_used);
}

#endif /* SOCKMESH_MAPS_H */
