// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

static int __init broken_build_init(void)
{
	return this_function_does_not_exist();
}

static void __exit broken_build_exit(void)
{
}

module_init(broken_build_init);
module_exit(broken_build_exit);

MODULE_DESCRIPTION("Wrong on purpose, for the lab's own tests");
MODULE_LICENSE("GPL");
