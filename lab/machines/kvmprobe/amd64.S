/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A payload that tells whether a hypervisor runs a kernel, in a few thousand instructions.
 *
 * QEMU loads it with -kernel (Multiboot 1, address fields given, so it is a flat binary) and starts it in 32-bit
 * protected mode. It does what a kernel does in its first second, writing one letter to the debug console (port 0xe9)
 * before each step, and ends by writing 0x2a to isa-debug-exit (port 0xf4), which makes QEMU exit with 0x55.
 * Any unexpected exception writes '!' and 0x01 (QEMU exits with 3). What hangs is ended by the caller's deadline.
 *
 * Build: as --64 amd64.S -o amd64.o && objcopy -O binary -j .text amd64.o amd64.bin
 * Every address is BASE plus a distance within this section, so there is nothing to relocate and no linker is needed.
 */
	.set	BASE, 0x100000
	.set	PML4, 0x200000		/* page tables, 6 pages from here */
	.set	STACK, 0x1f0000
	.set	STACK_RING3, 0x1e0000
	.set	IDT, 0x1d0000
	.set	APIC, 0xfee00000
	.set	TIMER, 0x40		/* interrupt vector of the timer */
	.set	WORK, 100000000		/* turns of the loop that only real virtualization finishes in time */

	.macro	step letter
	mov	$\letter, %al
	out	%al, $0xe9
	.endm

	.macro	addr symbol, register
	mov	$(\symbol - start + BASE), \register
	.endm

	.text
	.code32
start:
	jmp	entry32
	.balign	4
header:					/* Multiboot 1: magic, flags (bit 16: addresses follow), checksum */
	.long	0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
	.long	header - start + BASE, BASE, end - start + BASE, 0, BASE

entry32:
	cli
	cld
	mov	$STACK, %esp
	step	'a'			/* cpuid: is there long mode? */
	mov	$0x80000001, %eax
	cpuid
	bt	$29, %edx
	jnc	fail32

	step	'b'			/* page tables: the first 4 GiB, mapped one to one in pages of 2 MiB */
	mov	$PML4, %edi
	xor	%eax, %eax
	mov	$(6 * 1024), %ecx
	rep stosl
	movl	$(PML4 + 0x1000 + 7), PML4
	movl	$(PML4 + 0x2000 + 7), PML4 + 0x1000
	movl	$(PML4 + 0x3000 + 7), PML4 + 0x1008
	movl	$(PML4 + 0x4000 + 7), PML4 + 0x1010
	movl	$(PML4 + 0x5000 + 7), PML4 + 0x1018
	mov	$(PML4 + 0x2000), %edi
	mov	$0x87, %eax		/* present, writable, user, large */
	mov	$2048, %ecx
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	loop	1b

	step	'c'			/* long mode: PAE, FXSR; EFER.LME and SCE; paging with write protection */
	mov	%cr4, %eax
	or	$0x620, %eax
	mov	%eax, %cr4
	mov	$PML4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x101, %eax
	wrmsr
	mov	$0x80010023, %eax
	mov	%eax, %cr0
	lgdt	gdt_pointer - start + BASE
	ljmp	$0x08, $(entry64 - start + BASE)

fail32:
	step	'!'
	mov	$0x01, %al
	out	%al, $0xf4
	hlt

	.code64
entry64:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$STACK, %esp

	step	'd'			/* interrupt table, task register, and three exceptions and back */
	xor	%ebx, %ebx
	addr	unexpected, %eax
1:	call	set_gate
	inc	%ebx
	cmp	$256, %ebx
	jne	1b
	mov	$3, %ebx
	addr	on_int3, %eax
	call	set_gate
	mov	$6, %ebx
	addr	on_invalid, %eax
	call	set_gate
	mov	$14, %ebx
	addr	on_page_fault, %eax
	call	set_gate
	mov	$TIMER, %ebx
	addr	on_timer, %eax
	call	set_gate
	lidt	idt_pointer - start + BASE
	mov	$0x30, %eax
	ltr	%ax
	xor	%ebp, %ebp		/* counts the exceptions that came */
	int3
	ud2
	mov	$0x123456789a, %rbx	/* not mapped: the handler sees it in CR2 and steps over the load */
	movb	(%rbx), %al
	cmp	$3, %ebp
	jne	unexpected

	step	'e'			/* MSRs: written and read back */
	mov	$0xc0000081, %ecx	/* STAR: kernel segments from 0x08, user segments from 0x18 */
	xor	%eax, %eax
	mov	$0x00180008, %edx
	wrmsr
	mov	$0xc0000082, %ecx	/* LSTAR */
	addr	on_syscall, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0xc0000084, %ecx	/* FMASK */
	mov	$0x200, %eax
	wrmsr
	mov	$0xc0000102, %ecx	/* KERNEL_GS_BASE, seen through swapgs */
	mov	$BASE, %eax
	wrmsr
	swapgs
	mov	%gs:(header - start), %eax
	cmp	$0x1badb002, %eax
	jne	unexpected
	mov	$0xc0000082, %ecx
	rdmsr
	cmp	$(on_syscall - start + BASE), %eax
	jne	unexpected

	step	'f'			/* cpuid, and the instructions that it promises */
	fninit
	movd	%eax, %xmm0
	pshufd	$0, %xmm0, %xmm1
	paddd	%xmm0, %xmm1
	addsd	%xmm1, %xmm1
	mov	$1, %eax
	cpuid
	mov	%ecx, %r8d
	bt	$23, %r8d
	jnc	1f
	popcnt	%r8d, %eax
1:	bt	$13, %r8d
	jnc	1f
	lock cmpxchg16b scratch - start + BASE
1:	xor	%eax, %eax
	cpuid
	cmp	$7, %eax
	jb	1f
	mov	$7, %eax
	xor	%ecx, %ecx
	cpuid
	bt	$8, %ebx		/* BMI2: stock kernels unpack themselves with it where it is there */
	jnc	1f
	mov	$1, %ecx
	shlx	%ecx, %ebx, %eax
	add	%ebx, %ebx
	cmp	%eax, %ebx
	jne	unexpected
1:
	step	'g'			/* ring 3 by iretq, back by syscall, there again by sysretq, back by syscall */
	xor	%ebp, %ebp
	push	$0x23
	push	$STACK_RING3
	push	$0x02
	push	$0x2b
	push	$(ring3 - start + BASE)
	iretq
ring3:
	inc	%ebp
	syscall
	inc	%ebp
	syscall
on_syscall:
	cmp	$2, %ebp
	je	1f
	sysretq
1:	mov	$STACK, %esp
	mov	$0x10, %eax
	mov	%eax, %ss

	step	'h'			/* the local APIC's timer wakes a halted CPU, three times */
	mov	$0xff, %al		/* the firmware's own interrupts stay away */
	out	%al, $0x21
	out	%al, $0xa1
	mov	$0x1b, %ecx
	rdmsr
	or	$0x800, %eax
	wrmsr
	mov	$APIC, %ebx
	movl	$0x10000, 0x350(%rbx)	/* LINT0 masked */
	movl	$0x1ff, 0xf0(%rbx)	/* spurious vector, enabled */
	movl	$0x0b, 0x3e0(%rbx)	/* divide by one */
	movl	$TIMER, 0x320(%rbx)	/* one shot */
	mov	$3, %r9d
1:	movl	$1000000, 0x380(%rbx)
	xor	%ebp, %ebp
2:	sti				/* takes effect after hlt has begun: no wake-up is lost */
	hlt
	cli
	test	%ebp, %ebp
	jz	2b
	dec	%r9d
	jnz	1b

	step	'i'			/* work: a KVM that emulates instruction by instruction never gets through */
	mov	$WORK, %ecx
1:	dec	%ecx
	jnz	1b

	step	'z'
	mov	$0x2a, %al
	out	%al, $0xf4
	hlt

set_gate:				/* vector in ebx, handler below 4 GiB in eax */
	mov	%ebx, %edi
	shl	$4, %edi
	add	$IDT, %edi
	mov	%ax, (%rdi)
	movw	$0x08, 2(%rdi)
	movw	$0x8e00, 4(%rdi)
	mov	%eax, %edx
	shr	$16, %edx
	mov	%dx, 6(%rdi)
	movq	$0, 8(%rdi)
	ret

on_int3:
	inc	%ebp
	iretq
on_invalid:
	inc	%ebp
	addq	$2, (%rsp)		/* over ud2 */
	iretq
on_page_fault:
	mov	%cr2, %rax
	cmp	%rax, %rbx
	jne	unexpected
	inc	%ebp
	add	$8, %rsp		/* the error code */
	addq	$2, (%rsp)		/* over movb (%rbx), %al */
	iretq
on_timer:
	inc	%ebp
	movl	$0, 0xb0(%rbx)		/* end of interrupt */
	iretq

unexpected:
	step	'!'
	mov	$0x01, %al
	out	%al, $0xf4
	hlt

	.balign	16
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 0x08 kernel code */
	.quad	0x00cf93000000ffff	/* 0x10 kernel data */
	.quad	0			/* 0x18 would be 32-bit user code: sysretq counts from here */
	.quad	0x00cff3000000ffff	/* 0x20 user data */
	.quad	0x00affb000000ffff	/* 0x28 user code */
	.word	tss_end - tss - 1, tss - start, 0x8900 | (BASE >> 16), 0	/* 0x30 task state; BASE ends in 0000 */
	.quad	0
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt - start + BASE, 0
idt_pointer:
	.word	256 * 16 - 1
	.quad	IDT
	.balign	16
scratch:
	.quad	0, 0
tss:
	.long	0, STACK, 0		/* the stack for what interrupts ring 3 */
	.skip	0x66 - 12
	.word	0x68			/* no I/O permission map */
tss_end:
end:
