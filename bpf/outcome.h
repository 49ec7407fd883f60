/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What becomes of a record, and whose fault it was: every path that ends a record goes through
 * here. */
#ifndef SOCKMESH_OUTCOME_H
#define SOCKMESH_OUTCOME_H

#include "conn.h"
#include "outlier.h"

/* Clusters that need their sum of connections alone pay for it: it is one line for all CPUs. */
static __always_inline void sm_cluster_count(__u32 cluster_id, int by)
{
	struct sm_cluster_state *cluster = cluster_state_at(cluster_id);

	if (cluster)
		__sync_fetch_and_add(&cluster->active, by);
}

/* Takes the record's connection off its endpoint, and off its cluster where it was counted. */
static __always_inline void sm_conn_leave(const struct sm_connection *record)
{
	struct sm_endpoint_state *state = endpoint_state_at(record->endpoint_id);

	if (state)
		__sync_fetch_and_add(&state->active, -1);
	if (record->flags & SM_CONN_IN_CLUSTER)
		sm_cluster_count(record->cluster_id, -1);
}

static __always_inline void sm_conn_end(struct sm_conn_ref ref)
{
	sm_conn_leave(ref.record);
	sm_conn_free(ref);
}

static __always_inline void sm_count_failure(const struct sm_connection *record,
					     enum sm_failure failure)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(record->endpoint_id);

	if (stats && failure < SM_FAILURES)
		SM_ADD(stats->failed[failure], 1);
}

/* Failures that may be the endpoint's fault. A local one never is, and an application that gave up
 * knows its own reasons. */
static __always_inline int sm_is_endpoints_fault(enum sm_failure failure)
{
	return failure != SM_FAILURE_LOCAL && failure != SM_FAILURE_ABANDONED;
}

/* The attempt came to nothing, as far as the endpoint is concerned. */
static __always_inline void sm_attempt_failed(const struct sm_connection *record,
					      enum sm_failure failure)
{
	sm_count_failure(record, failure);
	if (sm_is_endpoints_fault(failure))
		sm_endpoint_failed(record->endpoint_id, record->netns_cookie);
}

/* Ends a record whose attempt came to nothing. */
static __always_inline void sm_conn_failed(struct sm_conn_ref ref, enum sm_failure failure)
{
	sm_attempt_failed(ref.record, failure);
	sm_conn_end(ref);
}

#endif /* SOCKMESH_OUTCOME_H */
