// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module: its device, and the tracepoints. Nothing is traced before a
 * reader has opened the device and asked for it, or after it has closed it.
 */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/irq_work.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "tap.h"

#define RING_KIB_LEAST 64
#define RING_KIB_MOST 65536

static unsigned int ring_kib = 1024;
module_param(ring_kib, uint, 0444);
MODULE_PARM_DESC(ring_kib, "KiB of each CPU's ring, a power of two");

static DEFINE_MUTEX(mutex);
static bool is_open, is_tracing;
static pid_t reader;
static DECLARE_WAIT_QUEUE_HEAD(waiting);

/* From a tracepoint nobody can be woken: a lock of the scheduler may be held. */
static void wake(struct irq_work *work)
{
	wake_up_interruptible_poll(&waiting, EPOLLIN);
}

static struct irq_work wake_work;

void tap_wake(void)
{
	if (wq_has_sleeper(&waiting))
		irq_work_queue(&wake_work);
}

static void on_sys_enter(void *data, struct pt_regs *regs, long nr)
{
	tap_record_entry(reader, regs, nr);
}

static void on_sys_exit(void *data, struct pt_regs *regs, long result)
{
	tap_record_exit(reader, regs, result);
}

static void on_exec(void *data, struct task_struct *task, pid_t old, struct linux_binprm *bprm)
{
	tap_record_exec(reader, bprm);
}

static void on_fork(void *data, struct task_struct *parent, struct task_struct *child)
{
	tap_record_task(reader, TAP_FORK, child);
}

/* From 6.16 on it is told more, which it does not take. */
static void on_exit(void *data, struct task_struct *task)
{
	tap_record_task(reader, TAP_EXIT, task);
}

static struct {
	const char *name;
	void *probe;
	struct tracepoint *tracepoint;
	bool registered;
} points[] = {
	{ "sys_exit", on_sys_exit },
	{ "sched_process_exec", on_exec },
	{ "sched_process_fork", on_fork },
	{ "sched_process_exit", on_exit },
	/* The last: a slot that is taken is given back by those above. */
	{ "sys_enter", on_sys_enter },
};

static void find_point(struct tracepoint *tracepoint, void *data)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (!strcmp(tracepoint->name, points[i].name))
			points[i].tracepoint = tracepoint;
	}
}

static void points_unregister(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (points[i].registered)
			tracepoint_probe_unregister(points[i].tracepoint, points[i].probe, NULL);
		points[i].registered = false;
	}
	/* When this returns, no probe is running any more. */
	tracepoint_synchronize_unregister();
}

static int points_register(void)
{
	unsigned int i;
	int error;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		error = tracepoint_probe_register(points[i].tracepoint, points[i].probe, NULL);
		if (error) {
			points_unregister();
			return error;
		}
		points[i].registered = true;
	}
	return 0;
}

static int start_tracing(void)
{
	int error;

	lockdep_assert_held(&mutex);
	if (is_tracing)
		return -EBUSY;
	error = tap_hooks_register();
	if (error)
		return error;
	error = points_register();
	if (error) {
		tap_hooks_unregister();
		return error;
	}
	is_tracing = true;
	return 0;
}

static void stop_tracing(void)
{
	lockdep_assert_held(&mutex);
	if (!is_tracing)
		return;
	points_unregister();
	tap_hooks_unregister();
	tap_slots_reset();
	is_tracing = false;
}

static int tap_open(struct inode *inode, struct file *file)
{
	int error = 0;

	mutex_lock(&mutex);
	if (is_open) {
		error = -EBUSY;
	} else {
		is_open = true;
		reader = task_tgid_nr(current);
		tap_rings_reset();
	}
	mutex_unlock(&mutex);
	return error;
}

static int tap_release(struct inode *inode, struct file *file)
{
	mutex_lock(&mutex);
	stop_tracing();
	is_open = false;
	mutex_unlock(&mutex);
	return 0;
}

static long tell_info(void __user *to)
{
	struct tap_info info = {
		.version = {
			TAP_API_MAJOR, TAP_API_MINOR, TAP_SCHEMA_MAJOR, TAP_SCHEMA_MINOR,
		},
		.cpus = nr_cpu_ids,
		.ring = tap_rings_bytes(),
		.page = PAGE_SIZE,
	};

	return copy_to_user(to, &info, sizeof(info)) ? -EFAULT : 0;
}

static long tap_ioctl(struct file *file, unsigned int command, unsigned long value)
{
	long error = 0;

	if (command == TAP_IOC_INFO)
		return tell_info((void __user *)value);
	mutex_lock(&mutex);
	if (command == TAP_IOC_START)
		error = start_tracing();
	else if (command == TAP_IOC_STOP)
		stop_tracing();
	else
		error = -ENOTTY;
	mutex_unlock(&mutex);
	return error;
}

static __poll_t tap_poll(struct file *file, struct poll_table_struct *table)
{
	poll_wait(file, &waiting, table);
	return tap_rings_filled() ? EPOLLIN | EPOLLRDNORM : 0;
}

static int tap_mmap(struct file *file, struct vm_area_struct *vma)
{
	return tap_rings_map(vma);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = tap_open,
	.release = tap_release,
	.unlocked_ioctl = tap_ioctl,
	.poll = tap_poll,
	.mmap = tap_mmap,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tap",
	.fops = &operations,
	.mode = 0600,
};

static int __init tap_init(void)
{
	unsigned int i;
	int error;

	if (!is_power_of_2(ring_kib) || ring_kib < RING_KIB_LEAST ||
	    ring_kib > RING_KIB_MOST)
		return -EINVAL;
	for_each_kernel_tracepoint(find_point, NULL);
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (!points[i].tracepoint)
			return -ENOENT;
	}
	init_irq_work(&wake_work, wake);
	error = tap_slots_create();
	if (error)
		return error;
	error = tap_rings_create(ring_kib * 1024);
	if (error)
		goto no_rings;
	error = misc_register(&device);
	if (error)
		goto no_device;
	return 0;

no_device:
	tap_rings_destroy();
no_rings:
	tap_slots_destroy();
	return error;
}

static void __exit tap_exit(void)
{
	misc_deregister(&device);
	irq_work_sync(&wake_work);
	tap_rings_destroy();
	tap_slots_destroy();
}

module_init(tap_init);
module_exit(tap_exit);

MODULE_DESCRIPTION("Reports system calls to a reader: kernel-lab's own driver");
MODULE_LICENSE("GPL");
