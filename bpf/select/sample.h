/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Samples of selections. Some are timed: one in so many, as the agent's configuration says. Some
 * are shown to those who watch: `sockmeshctl monitor --selections`.
 *
 * A selection's hash, made of its socket's cookie, says whether it is sampled: it is below
 * sm_globals.sample_below. That word is on the line that sm_is_agent() has read, so a selection
 * that is not sampled pays for a multiplication and a comparison. The word is the highest bound of
 * anybody who wants samples. Watchers raise it. A watcher that is gone cannot lower it, so the
 * programs lower it themselves, with the next selection that is sampled and needed by nobody.
 */
#ifndef SOCKMESH_SAMPLE_H
#define SOCKMESH_SAMPLE_H

#include "conn/asked.h"
#include "conn/client.h"
#include "conn/stats.h"
#include "select/choice.h"

/* Cookies are given in a row. This multiplier spreads them evenly, whatever the step is at which a
 * service gets them. */
#define SM_SAMPLE_MULTIPLIER 0x9e3779b97f4a7c15ULL

/* Longer times count as this one. */
#define SM_SAMPLE_LONG 0xffffffffU

static __always_inline __u32 sm_sample_hash(__u64 cookie)
{
	return (__u32)((cookie * SM_SAMPLE_MULTIPLIER) >> 32);
}

/* The time, if a selection for the socket is sampled; 0: it is not. */
static __always_inline __u64 sm_sample_begins(__u64 cookie)
{
	const struct sm_globals *globals = sm_globals();

	if (globals && unlikely(sm_sample_hash(cookie) < READ_ONCE(globals->sample_below)))
		return bpf_ktime_get_ns();
	return 0;
}

/* What was chosen, as two words for sm_sampled(). The first is the endpoint's id, or this. */
static __always_inline __u64 sm_sample_of_none(__u32 cluster_id)
{
	return (__u64)cluster_id << 32;
}

static __always_inline __u32 sm_sample_how(__u32 policy, __u32 reason, enum sm_selection_kind kind)
{
	return policy | reason << 8 | (__u32)kind << 16;
}

static __always_inline void sm_sample_count(__u64 took_ns)
{
	__u32 zero = 0;
	struct sm_selection_times *times = bpf_map_lookup_elem(&selection_times, &zero);

	if (!times)
		return;
	/* Another connect of this CPU may come in between. */
	SM_ADD(times->count[sm_histogram_bucket(took_ns < SM_SAMPLE_LONG ? (__u32)took_ns
									 : SM_SAMPLE_LONG)],
	       1);
	SM_ADD(times->sum_ns, took_ns);
}

/* The highest bound of those who watch. */
static __always_inline __u32 sm_watched_below(const struct sm_globals *globals, __u64 now_ns)
{
	__u32 below = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < SM_WATCHERS; i++) {
		const struct sm_watcher *watcher = &globals->watchers[i];
		__u32 own = READ_ONCE(watcher->below);

		if (own > below && READ_ONCE(watcher->until_ns) > now_ns)
			below = own;
	}
	return below;
}

/* Who asked. */
static __always_inline void sm_sample_client(struct sm_selection *shown)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	__u32 place = sm_client_of_caller();
	const struct sm_client_line *client = bpf_map_lookup_elem(&clients, &place);

	shown->client = client ? client->id : 0;
	shown->tgid = (__u32)task->tgid;
	if (bpf_probe_read_kernel(shown->thread, sizeof(shown->thread), task->comm))
		shown->thread[0] = 0;
}

/* The VIP that the socket asked for. */
static __always_inline void sm_sample_vip(struct bpf_sock_addr *ctx, const struct sm_descriptor *d,
					  struct sm_selection *shown)
{
	const struct sm_asked *asked = unlikely(d->range_bits) ? sm_asked_in_connect(ctx, 0) : NULL;

	sm_ip_copy(shown->vip_be, asked ? asked->addr_be : d->addr_be);
	shown->vip_port_be = d->port_be;
	shown->protocol = d->protocol;
}

static __always_inline void sm_sample_whither(__u64 whither, struct sm_selection *shown)
{
	__u32 endpoint_id = (__u32)whither;
	const struct sm_endpoint *endpoint = endpoint_id ? endpoints_at(endpoint_id) : NULL;

	shown->endpoint_id = endpoint ? endpoint_id : SM_NONE;
	shown->cluster_id = endpoint ? endpoint->cluster_id : (__u32)(whither >> 32);
	__builtin_memset(shown->endpoint_be, 0, sizeof(shown->endpoint_be));
	shown->endpoint_port_be = 0;
	if (!endpoint)
		return;
	sm_ip_copy(shown->endpoint_be, endpoint->addr_be);
	shown->endpoint_port_be = endpoint->port_be;
}

/* The next place in `selections`, whose number it sets. NULL: the one who had it before is not
 * ready, and the number is lost. */
static __always_inline struct sm_selection *sm_sample_place(struct sm_globals *globals,
							    __u64 *number)
{
	struct sm_selection *shown;
	__u64 before;
	__u32 at;

	*number = __sync_fetch_and_add(&globals->selections, 1) + 1;
	at = (__u32)*number & (SM_SELECTIONS - 1);
	shown = bpf_map_lookup_elem(&selections, &at);
	if (!shown)
		return NULL;
	before = READ_ONCE(shown->number);
	if (before == SM_SELECTION_BUSY ||
	    __sync_val_compare_and_swap(&shown->number, before, SM_SELECTION_BUSY) != before)
		return NULL;
	return shown;
}

/* Shows a selection to all who watch. For `whither` and `how` see sm_sampled(). */
SM_VERIFIED_ONCE int sm_sample_show(struct bpf_sock_addr *ctx, const struct sm_descriptor *d,
				    __u64 took_ns, __u64 whither, __u32 how)
{
	struct sm_globals *globals = sm_globals();
	struct sm_selection *shown;
	__u64 number;

	if (!d || !globals)
		return 0;
	shown = sm_sample_place(globals, &number);
	if (!shown)
		return 0;
	shown->at_ns = bpf_ktime_get_ns() - took_ns;
	shown->took_ns = took_ns < SM_SAMPLE_LONG ? (__u32)took_ns : SM_SAMPLE_LONG;
	shown->hash = sm_sample_hash(bpf_get_socket_cookie(ctx));
	shown->policy = (__u8)how;
	shown->reason = (__u8)(how >> 8);
	shown->kind = (__u8)(how >> 16);
	shown->pad = 0;
	sm_sample_vip(ctx, d, shown);
	sm_sample_whither(whither, shown);
	sm_sample_client(shown);
	/* After all that was written before. */
	__sync_lock_test_and_set(&shown->number, number);
	return 0;
}

/*
 * A sampled selection for a connection to `d`, which began at `since_ns`, is over. `whither`
 * is the endpoint's id, or sm_sample_of_none(); `how` is sm_sample_how().
 */
SM_VERIFIED_ONCE int sm_sampled(struct bpf_sock_addr *ctx, const struct sm_descriptor *d,
				__u64 since_ns, __u64 whither, __u32 how)
{
	__u64 took_ns = bpf_ktime_get_ns() - since_ns;
	__u32 hash = sm_sample_hash(bpf_get_socket_cookie(ctx));
	struct sm_globals *globals = sm_globals();
	__u32 timed, watched, needed, seen;

	if (!d || !globals)
		return 0;
	/* In this order: a watcher sets its own bound before it raises the word. */
	seen = READ_ONCE(globals->sample_below);
	timed = READ_ONCE(globals->histogram_below);
	watched = sm_watched_below(globals, since_ns);
	needed = watched > timed ? watched : timed;
	if (unlikely(needed < seen))
		__sync_val_compare_and_swap(&globals->sample_below, seen, needed);
	if (hash < timed && (__u32)whither)
		sm_sample_count(took_ns);
	if (hash < watched)
		sm_sample_show(ctx, d, took_ns, whither, how);
	return 0;
}

#endif /* SOCKMESH_SAMPLE_H */
