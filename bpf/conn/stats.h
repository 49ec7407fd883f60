/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sharded counters of endpoints and clusters. Shards are shared by CPUs, so additions are atomic.
 */
#ifndef SOCKMESH_STATS_H
#define SOCKMESH_STATS_H

#include "maps.h"

static __always_inline __u32 sm_shard(__u32 id)
{
	return (id << SM_STATS_SHARD_BITS) | (bpf_get_smp_processor_id() & (SM_STATS_SHARDS - 1));
}

static __always_inline struct sm_endpoint_stats *sm_endpoint_stats(__u32 endpoint_id)
{
	return endpoint_stats_at(sm_shard(endpoint_id));
}

static __always_inline struct sm_cluster_stats *sm_cluster_stats(__u32 cluster_id)
{
	return cluster_stats_at(sm_shard(cluster_id));
}

#define SM_ADD(counter, by) ((void)__sync_fetch_and_add(&(counter), (by)))

/* The bucket of SM_HISTOGRAM_*: the smallest i with us <= FIRST << i, and the last bucket for
 * the rest. It is the bit length of (us - 1) / FIRST. */
static __always_inline __u32 sm_histogram_bucket(__u32 us)
{
	__u32 rest = us ? (us - 1) / SM_HISTOGRAM_FIRST_US : 0, bucket = 0;

	if (rest >> (SM_HISTOGRAM_BUCKETS - 2))
		return SM_HISTOGRAM_BUCKETS - 1;
#pragma unroll
	for (int shift = 8; shift; shift >>= 1) {
		if (rest >> shift) {
			rest >>= shift;
			bucket += shift;
		}
	}
	bucket += rest;
	/* Checked in a word that the compiler knows nothing of; see sm_count_detection(). */
	asm volatile("" : "+r"(bucket));
	return bucket < SM_HISTOGRAM_BUCKETS ? bucket : SM_HISTOGRAM_BUCKETS - 1;
}

#endif /* SOCKMESH_STATS_H */
