// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A foreign sock_ops program: it sets its own callbacks and does not keep the present ones. */
#include "kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading: the callbacks (BPF_SOCK_OPS_*_CB), as bits, in which the program acts. */
const volatile __u64 in_callbacks = 0;

SEC("sockops")
int rival(struct bpf_sock_ops *ctx)
{
	if (ctx->op < 64 && in_callbacks >> ctx->op & 1)
		bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_RTT_CB_FLAG);
	return 1;
}
