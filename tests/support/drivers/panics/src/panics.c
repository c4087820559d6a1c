// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

static int __init panics_init(void)
{
	panic("asked to panic");
	return 0;
}

static void __exit panics_exit(void)
{
}

module_init(panics_init);
module_exit(panics_exit);

MODULE_DESCRIPTION("Wrong on purpose, for the lab's own tests");
MODULE_LICENSE("GPL");
