/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An entry for kernels that are there as a plain vmlinux: QEMU starts an ELF file by the PVH protocol (32-bit protected
 * mode, no paging, EBX -> struct hvm_start_info), and a kernel before 5.0, or one without CONFIG_PVH, knows only the
 * 64-bit boot protocol (long mode, memory mapped one to one, RSI -> struct boot_params). This is what lies between.
 *
 * The last eight bytes are the kernel's own entry, which lab/kernels/local/vmlinux.py writes there. Loaded at BASE, where
 * neither the firmware nor a kernel (16 MiB) is; the 64 KiB behind it are scratch.
 *
 * Build: as --64 entry.S -o entry.o && objcopy -O binary -j .text entry.o entry.bin
 * Every address is BASE plus a distance within this section: there is nothing to relocate and no linker is needed.
 */
	.set	BASE, 0x100000
	.set	PARAMS, 0x101000	/* struct boot_params, a page */
	.set	PML4, 0x102000		/* page tables, 6 pages from here */
	.set	MOST_MAPS, 128		/* entries of boot_params' e820 table */

	.macro	addr symbol, register
	mov	$(\symbol - start + BASE), \register
	.endm

	.text
	.code32
start:
	cli
	cld
	xor	%eax, %eax
	mov	$PARAMS, %edi
	mov	$(7 * 4096 / 4), %ecx	/* boot_params and the page tables */
	rep stosl
	mov	$PARAMS, %ebp

	mov	40(%ebx), %esi		/* memory map: 24 bytes an entry there, 20 here */
	mov	48(%ebx), %ecx
	cmp	$MOST_MAPS, %ecx
	jbe	1f
	mov	$MOST_MAPS, %ecx
1:	mov	%cl, 0x1e8(%ebp)	/* e820_entries */
	lea	0x2d0(%ebp), %edi	/* e820_table */
	test	%ecx, %ecx
2:	jz	3f
	movsl
	movsl
	movsl
	movsl
	movsl
	add	$4, %esi
	dec	%ecx
	jmp	2b

3:	mov	24(%ebx), %eax
	mov	%eax, 0x228(%ebp)	/* cmd_line_ptr */
	mov	32(%ebx), %eax
	mov	%eax, 0x70(%ebp)	/* acpi_rsdp_addr */
	mov	36(%ebx), %eax
	mov	%eax, 0x74(%ebp)
	cmpl	$0, 12(%ebx)		/* modules: the first is the initrd */
	je	4f
	mov	16(%ebx), %esi
	mov	(%esi), %eax
	mov	%eax, 0x218(%ebp)	/* ramdisk_image */
	mov	8(%esi), %eax
	mov	%eax, 0x21c(%ebp)	/* ramdisk_size */

4:	movw	$0xaa55, 0x1fe(%ebp)	/* boot_flag */
	movl	$0x53726448, 0x202(%ebp) /* "HdrS" */
	movw	$0x20c, 0x206(%ebp)	/* version of the protocol */
	movb	$0xff, 0x210(%ebp)	/* type_of_loader: none that has a number */
	movb	$1, 0x211(%ebp)		/* loadflags: above 1 MiB */
	movl	$0x1000000, 0x230(%ebp)	/* kernel_alignment */
	movl	$2047, 0x238(%ebp)	/* cmdline_size */

	movl	$(PML4 + 0x1003), PML4
	mov	$(PML4 + 0x1000), %edi
	mov	$(PML4 + 0x2003), %eax
	mov	$4, %ecx
5:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x1000, %eax
	dec	%ecx
	jnz	5b
	mov	$(PML4 + 0x2000), %edi	/* 4 GiB in pages of 2 MiB: present, writable, large */
	mov	$0x83, %eax
	mov	$2048, %ecx
6:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	dec	%ecx
	jnz	6b

	mov	%cr4, %eax
	or	$(1 << 5), %eax		/* PAE */
	mov	%eax, %cr4
	mov	$PML4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER */
	rdmsr
	or	$(1 << 8), %eax		/* LME */
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax	/* PG, PE */
	mov	%eax, %cr0
	addr	gdt_pointer, %eax
	lgdt	(%eax)
	ljmp	$0x10, $(long - start + BASE)

	.code64
long:
	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$PARAMS, %esi
	mov	entry(%rip), %rax
	jmp	*%rax

	.balign	8, 0
gdt:					/* by number: none, none, __BOOT_CS, __BOOT_DS */
	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt - start + BASE
	.balign	8, 0
entry:
	.quad	0
