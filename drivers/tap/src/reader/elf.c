// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debian's static libelf (0.192, trixie) asks for two functions of elfutils
 * that it does not hold. They keep a tree of raw pieces of a file, which only
 * elf_getdata_rawchunk fills; libbpf does not call that, so the tree is empty.
 */
void eu_search_tree_init(void *tree);
void eu_search_tree_fini(void *tree, void (*free_node)(void *node));

__attribute__((weak)) void eu_search_tree_init(void *tree)
{
	(void)tree;
}

__attribute__((weak)) void eu_search_tree_fini(void *tree,
					       void (*free_node)(void *node))
{
	(void)tree;
	(void)free_node;
}
