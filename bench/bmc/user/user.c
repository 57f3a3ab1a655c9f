// SPDX-License-Identifier: Apache-2.0
/*
 * Runs bmc's own machine code, the object that is signed and shipped, in user space: what it calls of
 * the runtime is here, and maps are memory. For each size of data given it brings one item into
 * the cache, as packets do, and prints the size and the least nanoseconds that a hit takes.
 *
 * A run is timed as the kernel times BPF_PROG_TEST_RUN: the clock is read before and
 * after it, and what reading it takes is subtracted.
 *
 *   objcopy --globalize-symbol=iu_entry_rx --globalize-symbol=iu_entry_tx
 *           --rename-section .iu.map=iu_map --rename-section .iu.param=iu_param bmc.o x.o
 *   gcc -O2 -pthread -static -no-pie -Ikernel/module user.c x.o
 *   ./a.out 32 256 1024
 *
 * Then it prints for 1, 2, 4, ... threads, up to one for each processor, "threads N APART SHARED":
 * hits a second of all of them if each asks for an item of its own, and if all ask for one.
 *
 * The word that polls count down is reached at %gs:iu_rt_fuel, which is the word itself
 * as long as the base of %gs is 0, as it is in the first thread; the others have a base
 * that brings them to a word of their own.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "iu_abi.h"

/* As in linux/bpf.h, whose integer types are not iu_abi.h's. */
enum { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6 };

extern struct iu_abi_map __start_iu_map[], __stop_iu_map[];
extern struct iu_abi_param __start_iu_param[], __stop_iu_param[];

struct xdp {
	uint8_t *data, *data_end;
};

extern uint32_t iu_entry_rx(void *ctx);
extern uint32_t iu_entry_tx(void *ctx);

int iu_rt_fuel = IU_FUEL;

asm(".globl __x86_return_thunk\n__x86_return_thunk: ret\n");

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void stop(const char *why)
{
	fprintf(stderr, "user: error: %s\n", why);
	exit(1);
}

/* Saves all registers but r11, as an entry expects it. */
__attribute__((no_caller_saved_registers, target("general-regs-only"))) void iu_rt_poll(void)
{
	asm volatile("movl %0, %%gs:iu_rt_fuel" : : "i"(IU_FUEL) : "memory");
}

#define CPUS_MAX 64

static __thread unsigned int cpu; /* the thread's, which counts from 0 */

uint64_t iu_rt_ktime_ns(void)
{
	return now();
}

void iu_rt_lock(uint32_t *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(lock, __ATOMIC_RELAXED))
			__builtin_ia32_pause();
	}
}

void iu_rt_unlock(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

void *iu_rt_map_lookup(struct iu_abi_map *map, const void *key)
{
	uint32_t i;

	memcpy(&i, key, sizeof(i));
	if (i >= map->max_entries)
		return NULL;
	if (map->type == BPF_MAP_TYPE_PERCPU_ARRAY)
		i += cpu * map->max_entries;
	return (uint8_t *)map->map + (size_t)i * map->stride;
}

uint64_t iu_rt_xdp_adjust_tail(void *ctx, int32_t delta)
{
	((struct xdp *)ctx)->data_end += delta;
	return 0;
}

uint64_t iu_rt_xdp_adjust_head(void *ctx, int32_t delta)
{
	((struct xdp *)ctx)->data += delta;
	return 0;
}

uint64_t iu_rt_tc_load(struct iu_ctx_tc *ctx, uint32_t off, void *to, uint32_t len)
{
	if ((uint64_t)off + len > ctx->len)
		return (uint64_t)-14;
	memcpy(to, ctx->data + off, len);
	return 0;
}

static void set(const char *name, uint64_t value)
{
	for (struct iu_abi_param *p = __start_iu_param; p < __stop_iu_param; p++) {
		if (!strcmp(p->name, name)) {
			p->value = value;
			return;
		}
	}
	stop("no such parameter");
}

static void bind(void)
{
	for (struct iu_abi_map *m = __start_iu_map; m < __stop_iu_map; m++) {
		if (m->role == IU_MAP_ROLE_SIZED)
			m->max_entries = 1024;
		m->stride = (m->value_size + 7) & ~7u;
		m->map = (uintptr_t)calloc((size_t)m->max_entries * (m->type == BPF_MAP_TYPE_PERCPU_ARRAY ? CPUS_MAX : 1), m->stride);
		if (!m->map)
			stop("no memory");
		if (m->type == BPF_MAP_TYPE_ARRAY)
			m->data = m->map;
	}
}

static uint16_t be16(unsigned int n)
{
	return (uint16_t)(n >> 8 | n << 8);
}

/* A datagram with this text behind the frame header of request 7; its length. */
static size_t frame(uint8_t *p, int reply, const char *text, size_t len)
{
	static const uint8_t head[] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 2, 10, 1, 0, 1,
		0x9c, 0x40, 0x2b, 0xcb, 0, 0, 0, 0,
		0, 7, 0, 0, 0, 1, 0, 0,
	};
	static const uint8_t back[] = { 10, 1, 0, 1, 10, 1, 0, 2, 0x2b, 0xcb, 0x9c, 0x40 };
	uint32_t sum = 0;
	uint16_t n;

	memcpy(p, head, sizeof(head));
	if (reply)
		memcpy(p + 26, back, sizeof(back));
	n = be16(20 + 8 + 8 + len);
	memcpy(p + 16, &n, 2);
	n = be16(8 + 8 + len);
	memcpy(p + 38, &n, 2);
	for (int i = 14; i < 34; i += 2) {
		memcpy(&n, p + i, 2);
		sum += n;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	n = ~((sum & 0xffff) + (sum >> 16));
	memcpy(p + 24, &n, 2);
	memcpy(p + sizeof(head), text, len);
	return sizeof(head) + len;
}

#define PASS	2
#define TX	3

static uint8_t packet[4096];

static uint64_t timed(const uint8_t *bytes, size_t len, uint32_t (*run)(void *), uint32_t want)
{
	struct xdp ctx = { packet, packet + len };
	uint64_t began, took;
	uint32_t verdict;

	memcpy(packet, bytes, len);
	began = now();
	verdict = run(&ctx);
	took = now() - began;
	if (verdict != want)
		stop("another verdict than there should be");
	return took;
}

static uint32_t nothing(void *ctx)
{
	asm volatile("" : : "r"(ctx) : "memory");
	return PASS;
}

/* Brings an item of this name and size into the cache; the request for it, and its length. */
static size_t keep(const char *key, int size, uint8_t *request, uint8_t *answer, size_t *answered)
{
	static char text[4096];
	size_t len, n;

	n = snprintf(text, sizeof(text), "get %s\r\n", key);
	len = frame(request, 0, text, n);
	timed(request, len, iu_entry_rx, PASS);
	n = snprintf(text, sizeof(text), "VALUE %s 0 %d\r\n", key, size);
	memset(text + n, 'x', size);
	memcpy(text + n + size, "\r\nEND\r\n", 7);
	*answered = frame(answer, 1, text, n + size + 7);
	iu_entry_tx(&(struct iu_ctx_tc){ .data = answer, .data_end = answer + *answered, .len = *answered });
	return len;
}

static void measure(int size)
{
	static uint8_t request[256], answer[4096];
	uint64_t hit = ~0ull, empty = ~0ull, t;
	size_t len, n;
	char key[32];

	snprintf(key, sizeof(key), "item:kept:%06d", size);
	len = keep(key, size, request, answer, &n);
	for (int i = 0; i < 200000; i++) {
		t = timed(request, len, iu_entry_rx, TX);
		hit = t < hit ? t : hit;
		t = timed(request, len, nothing, PASS);
		empty = t < empty ? t : empty;
	}
	if (memcmp(packet + 50, "get ", 4))
		stop("the packet of the empty program was changed");
	timed(request, len, iu_entry_rx, TX);
	if (memcmp(packet + 50, answer + 50, n - 50))
		stop("a hit is not what memcached answered");
	printf("%d %llu\n", size, (unsigned long long)(hit - empty));
}

#define RUN_NS	500000000ull

static struct asker {
	pthread_t thread;
	unsigned int cpu;
	const uint8_t *request;
	size_t len;
	uint64_t hits;
	uint8_t packet[4096];
	int fuel;
} askers[CPUS_MAX] __attribute__((aligned(64)));

static pthread_barrier_t ready;

static void *ask(void *arg)
{
	struct asker *a = arg;
	uint64_t began;
	cpu_set_t on;

	cpu = a->cpu;
	CPU_ZERO(&on);
	CPU_SET(cpu, &on);
	if (sched_setaffinity(0, sizeof(on), &on) ||
	    syscall(SYS_arch_prctl, ARCH_SET_GS, (uintptr_t)&a->fuel - (uintptr_t)&iu_rt_fuel))
		stop("no processor, or no word, of its own for a thread");
	pthread_barrier_wait(&ready);
	for (began = now(); now() - began < RUN_NS;) {
		for (int i = 0; i < 100; i++) {
			struct xdp ctx = { a->packet, a->packet + a->len };

			memcpy(a->packet, a->request, a->len);
			if (iu_entry_rx(&ctx) != TX)
				stop("no hit in a thread");
			a->hits++;
		}
	}
	return NULL;
}

/* Hits a second of so many threads, with the requests of the first or one of its own for each. */
static uint64_t together(unsigned int threads, uint8_t requests[][256], const size_t *lens, int shared)
{
	uint64_t hits = 0;

	pthread_barrier_init(&ready, NULL, threads);
	for (unsigned int i = 0; i < threads; i++) {
		askers[i].cpu = i;
		askers[i].request = requests[shared ? 0 : i];
		askers[i].len = lens[shared ? 0 : i];
		askers[i].hits = 0;
		if (pthread_create(&askers[i].thread, NULL, ask, &askers[i]))
			stop("no thread");
	}
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(askers[i].thread, NULL);
		hits += askers[i].hits;
	}
	pthread_barrier_destroy(&ready);
	return hits * 1000000000 / RUN_NS;
}

static void scale(void)
{
	static uint8_t requests[CPUS_MAX][256], answer[4096];
	size_t lens[CPUS_MAX], n;
	unsigned int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char key[32];

	cpus = cpus < CPUS_MAX ? cpus : CPUS_MAX;
	for (unsigned int i = 0; i < cpus; i++) {
		snprintf(key, sizeof(key), "item:of-cpu:%04u", i);
		lens[i] = keep(key, 32, requests[i], answer, &n);
	}
	for (unsigned int threads = 1; threads <= cpus; threads *= 2) {
		uint64_t apart = 0, shared = 0, r;

		for (int i = 0; i < 5; i++) {
			r = together(threads, requests, lens, 0);
			apart = r > apart ? r : apart;
			r = together(threads, requests, lens, 1);
			shared = r > shared ? r : shared;
		}
		printf("threads %u %llu %llu\n", threads, (unsigned long long)apart, (unsigned long long)shared);
	}
}

int main(int argc, char **argv)
{
	bind();
	set("no_old_ttl", 1);
	for (int i = 1; i < argc; i++)
		measure(atoi(argv[i]));
	scale();
	return 0;
}
