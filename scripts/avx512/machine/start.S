// From the boot loader (multiboot, 32 bits, no paging) to C in 64 bits with AVX-512 switched on.
  .set MULTIBOOT_MAGIC, 0x1badb002
  .set MULTIBOOT_FLAGS, 3          // modules on page boundaries, memory sizes

  .section .multiboot, "a"
  .align 4
  .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

  .text
  .code32
  .global start
start:
  cli
  mov $stack_end, %esp
  mov %ebx, information

  // The first gibibyte maps to itself, in pages of 2 MiB.
  movl $(directory + 3), table
  movl $(pages + 3), directory
  mov $pages, %edi
  mov $0x83, %eax                  // present, writable, large
  mov $512, %ecx
1:mov %eax, (%edi)
  movl $0, 4(%edi)
  add $0x200000, %eax
  add $8, %edi
  loop 1b
  mov $table, %eax
  mov %eax, %cr3

  mov %cr4, %eax
  or $0x40620, %eax                // PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
  mov %eax, %cr4
  mov $0xc0000080, %ecx            // EFER
  rdmsr
  or $0x100, %eax                  // long mode
  wrmsr
  mov %cr0, %eax
  and $~0xc, %eax                  // neither EM nor TS: vector instructions do not trap
  or $0x80000022, %eax             // paging, NE, MP
  mov %eax, %cr0
  lgdt descriptors_register
  ljmp $8, $long_start

  .code64
long_start:
  mov $16, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %ecx, %ecx
  xgetbv
  or $0xe7, %eax                   // x87, SSE, AVX, mask registers, both parts of ZMM
  xsetbv
  fninit
  ldmxcsr vector_control
  mov $stack_end, %rsp
  mov information, %edi
  call machine_main
1:hlt
  jmp 1b

  .section .rodata
  .align 8
descriptors:
  .quad 0
  .quad 0x00af9a000000ffff         // code, 64 bits
  .quad 0x00cf92000000ffff         // data
descriptors_register:
  .word descriptors_register - descriptors - 1
  .long descriptors
vector_control:
  .long 0x1f80                     // round to nearest, subnormals kept, exceptions masked

  .bss
  .align 4096
table: .skip 4096
directory: .skip 4096
pages: .skip 4096
information: .skip 64
  .skip 0x100000
stack_end:
  .section .note.GNU-stack, "", @progbits
