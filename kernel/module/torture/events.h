/* SPDX-License-Identifier: GPL-2.0-only */
/* The tracepoint that programs are attached to. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iu_torture

#if !defined(IU_TORTURE_EVENTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define IU_TORTURE_EVENTS_H

#include <linux/tracepoint.h>

TRACE_EVENT(iu_torture_event,
	TP_PROTO(u32 context, u32 turn),
	TP_ARGS(context, turn),
	TP_STRUCT__entry(
		__field(u32, context)
		__field(u32, turn)
	),
	TP_fast_assign(
		__entry->context = context;
		__entry->turn = turn;
	),
	TP_printk("context %u, turn %u", __entry->context, __entry->turn)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE events
#include <trace/define_trace.h>
