// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does what a kernel complains about, one thing for each word that is written
 * to its parameter `now`. For the lab's own tests: each of its detectors is
 * proved on the real complaint.
 */
#include <linux/cpumask.h>
#include <linux/error-injection.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stop_machine.h>
#include <linux/string.h>

#define SPIN_SECONDS 12
#define PAGES_ORDER 9
#define PAGES_MAX 4096

#define OBJECT_SIZE 60
#define LOST_OBJECTS 16

static DEFINE_SPINLOCK(lock);
static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
/* What the last deed came to; 0 where it came to anything. */
static int result;

static noinline void do_oops(void)
{
	int *nowhere = NULL;

	OPTIMIZER_HIDE_VAR(nowhere);
	*nowhere = 1;
}

static noinline void do_bug(void)
{
	BUG();
}

static noinline void do_warning(void)
{
	WARN(1, "asked to warn");
}

static noinline void do_panic(void)
{
	panic("asked to panic");
}

static noinline void do_list(void)
{
	LIST_HEAD(list);
	struct list_head entry;

	list_add(&entry, &list);
	list.next = &list;
	list_del(&entry);
}

static noinline void do_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static noinline void do_atomic(void)
{
	spin_lock(&lock);
	schedule_timeout_uninterruptible(1);
	/* With its complaint the kernel forgets what forbade it; one below zero may hang. */
	if (!preempt_count())
		preempt_disable();
	spin_unlock(&lock);
}

/* Behind a call it keeps the compiler from making that a jump, which a call trace does not show. */
#define STAY() barrier()

/* As every other busy loop, without letting others run. */
static noinline void spin(void)
{
	unsigned long end = jiffies + SPIN_SECONDS * HZ;

	while (time_before(jiffies, end))
		cpu_relax();
}

static noinline void do_soft_lockup(void)
{
	preempt_disable();
	spin();
	preempt_enable();
}

static struct rcu_head waited_for;

static void over(struct rcu_head *head)
{
}

static noinline void do_rcu_stall(void)
{
	/* A grace period keeps the timeout that it began with. */
	synchronize_rcu();
	rcu_read_lock();
	preempt_disable();
	/* Where nobody waits for one there is no stall. */
	call_rcu(&waited_for, over);
	spin();
	preempt_enable();
	rcu_read_unlock();
	rcu_barrier();
}

static noinline void do_hung_task(void)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule_timeout(SPIN_SECONDS * HZ);
	STAY();
}

static noinline void do_leak(void)
{
	struct kmem_cache *cache;
	void *object;

	cache = kmem_cache_create("misbehaves", 200, 0, SLAB_POISON, NULL);
	if (!cache)
		return;
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	OPTIMIZER_HIDE_VAR(object);
	kmem_cache_destroy(cache);
	STAY();
}

static noinline void do_pages(void)
{
	struct page **pages;
	int count = 0;

	pages = kvcalloc(PAGES_MAX, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return;
	while (count < PAGES_MAX) {
		pages[count] = alloc_pages(GFP_NOWAIT & ~__GFP_NOWARN, PAGES_ORDER);
		if (!pages[count])
			break;
		count++;
	}
	while (count--)
		__free_pages(pages[count], PAGES_ORDER);
	kvfree(pages);
}

/* What only kernels for debugging notice. */
static noinline void do_use_after_free(void)
{
	char *object = kmalloc(OBJECT_SIZE, GFP_KERNEL);

	if (!object)
		return;
	kfree(object);
	OPTIMIZER_HIDE_VAR(object);
	WRITE_ONCE(object[1], 1);
}

static noinline void do_out_of_bounds(void)
{
	char *object = kmalloc(OBJECT_SIZE, GFP_KERNEL);
	char *end = object + OBJECT_SIZE;

	if (!object)
		return;
	OPTIMIZER_HIDE_VAR(end);
	WRITE_ONCE(*end, 1);
	kfree(object);
}

/* Each order alone is right; nothing hangs today. */
static noinline void do_inversion(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static noinline void do_sleep(void)
{
	void *object;

	spin_lock(&lock);
	object = kmalloc(OBJECT_SIZE, GFP_KERNEL);
	spin_unlock(&lock);
	kfree(object);
}

/* Several, as a register or a stack may still hold the last. */
static noinline void do_lose(void)
{
	void *object;
	int i;

	for (i = 0; i < LOST_OBJECTS; i++) {
		object = kmalloc(OBJECT_SIZE, GFP_KERNEL);
		OPTIMIZER_HIDE_VAR(object);
	}
	STAY();
}

/* Right, whatever fails in it. */
static noinline void do_allocate(void)
{
	void *object = kzalloc(OBJECT_SIZE, GFP_KERNEL);

	result = object ? 0 : -ENOMEM;
	kfree(object);
	STAY();
}

static int answer;

static noinline int asked(void)
{
	/* Not a constant, which the caller's compiler would know. */
	return READ_ONCE(answer);
}
ALLOW_ERROR_INJECTION(asked, ERRNO);

static noinline void do_ask(void)
{
	result = asked();
}

/* Nothing is said, and nothing answers any more. */
static int hang(void *unused)
{
	for (;;)
		cpu_relax();
	return 0;
}

static noinline void do_hang(void)
{
	/* On all CPUs at once, with interrupts off. */
	stop_machine(hang, NULL, cpu_online_mask);
}

static const struct {
	const char *word;
	void (*act)(void);
} deeds[] = {
	{ "oops", do_oops },
	{ "bug", do_bug },
	{ "warning", do_warning },
	{ "panic", do_panic },
	{ "list", do_list },
	{ "refcount", do_refcount },
	{ "atomic", do_atomic },
	{ "soft-lockup", do_soft_lockup },
	{ "rcu-stall", do_rcu_stall },
	{ "hung-task", do_hung_task },
	{ "leak", do_leak },
	{ "pages", do_pages },
	{ "use-after-free", do_use_after_free },
	{ "out-of-bounds", do_out_of_bounds },
	{ "inversion", do_inversion },
	{ "sleep", do_sleep },
	{ "lose", do_lose },
	{ "allocate", do_allocate },
	{ "ask", do_ask },
	{ "hang", do_hang },
};

static int set_now(const char *word, const struct kernel_param *param)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(deeds); i++) {
		if (sysfs_streq(word, deeds[i].word)) {
			result = 0;
			deeds[i].act();
			return result;
		}
	}
	return -EINVAL;
}

static const struct kernel_param_ops now_ops = {
	.set = set_now,
};

module_param_cb(now, &now_ops, NULL, 0200);
MODULE_PARM_DESC(now, "what to do wrong, now");

MODULE_DESCRIPTION("Wrong on purpose, for the lab's own tests");
MODULE_LICENSE("GPL");
