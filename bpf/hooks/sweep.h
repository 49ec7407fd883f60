/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ends records whose socket is gone. The agent runs these programs (BPF_PROG_TEST_RUN). No callback
 * came when these sockets ended: the kernel's own sockets (of MPTCP and SMC) have no sock_release,
 * other programs can take callbacks away, and the programs may have been detached.
 *
 * A record keeps its socket's address. The socket exists as long as this address holds its cookie
 * and a reference count: cookies are never given twice, and a freed socket has no references. This
 * holds in every network namespace, in every state of TCP, and for every socket, whichever process
 * or kernel part made it.
 *
 * A record that is being claimed already has its socket's cookie, and not yet its address. So the
 * first look only notes which socket is gone. The agent looks again after a grace period, when
 * every program that was claiming has ended.
 */
#ifndef SOCKMESH_HOOK_SWEEP_H
#define SOCKMESH_HOOK_SWEEP_H

#include "conn/untold.h"

/*
 * What became of a record. Sums of these are two counts: the records that are gone in the low half,
 * the ended ones in the high half. Adding needs no branch: the verifier of Linux 6.1 would follow
 * each way through every branch.
 */
enum sm_sweep {
	SM_SWEEP_KEPT = 0,
	SM_SWEEP_GONE = 1,
	SM_SWEEP_ENDED = 1 << 16,
};

static __always_inline int sm_is_gone(const struct sm_connection *record, __u64 cookie)
{
	const struct sock *sk = (const struct sock *)(long)READ_ONCE(record->sk);

	/* Memory that is no longer mapped reads as zero. */
	return sk && (sm_cookie_of(sk) != cookie ||
		      !SM_READ(struct sock, sk, __sk_common.skc_refcnt.refs.counter));
}

/* Tells sockets that use one record after the other from each other. Never 0: the lowest bit is
 * the same for all of them. */
static __always_inline __u32 sm_gone_mark(__u64 cookie)
{
	return (__u32)cookie | 1;
}

static __always_inline __u32 sm_sweep_record(struct sm_conn_ref ref)
{
	__u32 mark = sm_gone_mark(ref.cookie);

	if (!ref.record || !sm_is_gone(ref.record, ref.cookie))
		return SM_SWEEP_KEPT;
	if (ref.record->state == SM_CONN_FREE)
		return SM_SWEEP_KEPT; /* it is being claimed */
	if (ref.record->gone_mark != mark) {
		ref.record->gone_mark = mark;
		return SM_SWEEP_GONE;
	}
	sm_count(SM_COUNTER_CONN_SWEPT);
	sm_conn_settle(ref.cookie, 1);
	sm_conn_free(ref);
	return SM_SWEEP_ENDED;
}

/* All ways of a set; the sum of enum sm_sweep. */
SM_VERIFIED_ONCE __u32 sm_sweep_set(__u32 set)
{
	__u32 swept = 0;

#pragma unroll
	for (__u32 way = 0; way < SM_CONN_WAYS; way++) {
		struct sm_conn_ref ref = {.record = sm_conn_record(set, way), .place = way};

		if (!ref.record)
			continue;
		ref.cookie = READ_ONCE(ref.record->cookie);
		if (ref.cookie)
			swept += sm_sweep_record(ref);
	}
	return swept;
}

SEC("syscall")
int sm_sweep_sets(struct sm_sweep_sets *request)
{
	__u32 swept = 0;

	for (__u32 i = 0; i < SM_SWEEP_SETS && i < request->count; i++)
		swept += sm_sweep_set(request->first + i);
	request->gone = swept & 0xffff;
	request->ended = swept >> 16;
	return 0;
}

SM_VERIFIED_ONCE __u32 sm_sweep_cookie(__u64 cookie)
{
	struct sm_conn_ref ref = {.cookie = cookie, .place = SM_CONN_IN_OVERFLOW};

	if (!cookie)
		return SM_SWEEP_KEPT;
	ref.record = bpf_map_lookup_elem(&conn_overflow, &cookie);
	return sm_sweep_record(ref);
}

SEC("syscall")
int sm_sweep_overflow(struct sm_sweep_cookies *request)
{
	__u32 swept = 0;

#pragma unroll
	for (int i = 0; i < SM_SWEEP_COOKIES; i++)
		swept += sm_sweep_cookie(request->cookie[i]);
	request->gone = swept & 0xffff;
	request->ended = swept >> 16;
	return 0;
}

#endif /* SOCKMESH_HOOK_SWEEP_H */
