// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

static int __init refuses_load_init(void)
{
	pr_info("refusing\n");
	return -EINVAL;
}

static void __exit refuses_load_exit(void)
{
}

module_init(refuses_load_init);
module_exit(refuses_load_exit);

MODULE_DESCRIPTION("Wrong on purpose, for the lab's own tests");
MODULE_LICENSE("GPL");
