// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

static int __init warns_init(void)
{
	WARN(1, "asked to warn");
	return 0;
}

static void __exit warns_exit(void)
{
}

module_init(warns_init);
module_exit(warns_exit);

MODULE_DESCRIPTION("Wrong on purpose, for the lab's own tests");
MODULE_LICENSE("GPL");
