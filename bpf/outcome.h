/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What becomes of a record, and whose fault it was: every path that ends a record goes through here. */
#ifndef SOCKMESH_OUTCOME_H
#define SOCKMESH_OUTCOME_H

#include "conn.h"
#include "stats.h"

/* Takes the connection off its endpoint's and cluster's active counts and frees the record. */
static __always_inline void sm_conn_end(struct sm_conn_ref ref)
{
	struct sm_endpoint_state *endpoint = endpoint_state_at(ref.record->endpoint_id);
	struct sm_cluster_state *cluster = cluster_state_at(ref.record->cluster_id);

	if (endpoint)
		__sync_fetch_and_add(&endpoint->active, -1);
	if (cluster)
		__sync_fetch_and_add(&cluster->active, -1);
	sm_conn_free(ref);
}

/* Ends a record whose attempt came to nothing. */
static __always_inline void sm_conn_failed(struct sm_conn_ref ref, enum sm_failure failure)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(ref.record->endpoint_id);

	if (stats && failure < SM_FAILURES)
		SM_ADD(stats->failed[failure], 1);
	sm_conn_end(ref);
}

#endif /* SOCKMESH_OUTCOME_H */
