// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

static int *nowhere;

static int __init oopses_init(void)
{
	WRITE_ONCE(*READ_ONCE(nowhere), 1);
	return 0;
}

static void __exit oopses_exit(void)
{
}

module_init(oopses_init);
module_exit(oopses_exit);

MODULE_DESCRIPTION("Wrong on purpose, for the lab's own tests");
MODULE_LICENSE("GPL");
