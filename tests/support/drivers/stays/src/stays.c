// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

static int __init stays_init(void)
{
	/* Never given back. */
	__module_get(THIS_MODULE);
	return 0;
}

static void __exit stays_exit(void)
{
}

module_init(stays_init);
module_exit(stays_exit);

MODULE_DESCRIPTION("Wrong on purpose, for the lab's own tests");
MODULE_LICENSE("GPL");
