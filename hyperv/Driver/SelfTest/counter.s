# A boot sector that counts in memory (x86, real mode; no system is behind it). On COM1 it writes, 18 times a second, a line
#     WEAVE bbbbbbbb cccccccc
# b: taken once at boot (time stamp counter, mixed with the clock); c: lines written since then, in memory alone.
# A machine that resumes goes on with both; one that boots, however, takes another b and begins at 1.
#     as --32 counter.s -o counter.o && ld -m elf_i386 -Ttext 0x7c00 --oformat binary counter.o -o counter.bin
        .code16
        .globl  _start
_start:
        ljmp    $0, $start              # whatever segment the BIOS has jumped with
start:
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        cld

        movw    $uart, %si              # COM1: 115200 baud, 8 bits, no parity, one stop bit; FIFO on; no interrupts
        movw    $7, %cx
setup:
        lodsb
        movb    %al, %dl
        movb    $3, %dh                 # ports 0x3f8 to 0x3ff
        lodsb
        outb    %al, %dx
        loop    setup

        movb    $2, %ah                 # the clock: hours and minutes in cx, seconds in dh
        int     $0x1a
        pushw   %cx
        pushw   %dx
        rdtsc
        popw    %dx
        popw    %cx
        roll    $16, %ecx
        movw    %dx, %cx
        xorl    %ecx, %eax
        movl    %eax, boot
        sti

next:
        movl    0x46c, %eax             # ticks of the BIOS
        cmpl    %eax, tick
        jne     write
        hlt                             # leaves the processor to others
        jmp     next
write:
        movl    %eax, tick
        incl    count
        movw    $name, %si
        movw    $6, %cx
letters:
        lodsb
        call    put
        loop    letters
        movl    boot, %ebx
        call    number
        movb    $' ', %al
        call    put
        movl    count, %ebx
        call    number
        movb    $'\r', %al
        call    put
        movb    $'\n', %al
        call    put
        jmp     next

number:                                 # ebx as eight hexadecimal digits
        movw    $8, %cx
digit:
        roll    $4, %ebx
        movb    %bl, %al
        andb    $15, %al
        cmpb    $10, %al
        sbbb    $0x69, %al              # the old way to a digit without a branch
        das
        call    put
        loop    digit
        ret

put:                                    # al to COM1; not for ever, where nobody takes it
        pushw   %cx
        pushw   %ax
        movw    $4096, %cx
        movw    $0x3fd, %dx
busy:
        inb     %dx, %al
        testb   $0x20, %al
        loopz   busy
        popw    %ax
        movw    $0x3f8, %dx
        outb    %al, %dx
        popw    %cx
        ret

uart:   .byte   0xf9, 0                 # port (low byte), value
        .byte   0xfb, 0x80
        .byte   0xf8, 1
        .byte   0xf9, 0
        .byte   0xfb, 3
        .byte   0xfa, 7
        .byte   0xfc, 3
name:   .ascii  "WEAVE "
tick:   .long   0
boot:   .long   0
count:  .long   0

        .org    510
        .word   0xaa55
