// SPDX-License-Identifier: BSL-1.0
#include "process_pool/crash_report.hpp"

#include "os/coarse_clock.hpp"
#include "process_pool/crash_frames.hpp"
#include "process_pool/crash_message.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>

namespace futures::detail {

namespace {

constexpr std::array crash_signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};

// Set before the handlers are.
WorkerControl* crashing_worker = nullptr;
pid_t reported_process = 0;

std::atomic<pid_t> writing_thread{0};

bool carries_address(int signal) noexcept {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE ||
           signal == SIGILL;
}

/// A frame that does not fit may begin above its stack's end by all that it has. Below
/// the stack pointer only a call writes, and what needs no frame of its own.
constexpr std::uintptr_t largest_frame = std::uintptr_t{64} << 20U;
constexpr std::uintptr_t below_frames = std::uintptr_t{64} << 10U;

/// Does the stack end between the stack pointer and the address? Async-signal-safe.
bool is_stack_overflow(
    int signal, const siginfo_t& info, const void* context
) noexcept {
    const std::uintptr_t stack = crash_place(context).stack;
    const auto address = reinterpret_cast<std::uintptr_t>(info.si_addr);
    if (signal != SIGSEGV || stack == 0 ||
        (info.si_code != SEGV_MAPERR && info.si_code != SEGV_ACCERR)) {
        return false;
    }
    if (address < stack) {
        return stack - address <= below_frames;
    }
    // The pointer of a stack that has room is in it.
    char byte = 0;
    const iovec to{.iov_base = &byte, .iov_len = 1};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a register's value
    const iovec from{.iov_base = reinterpret_cast<void*>(stack), .iov_len = 1};
    return address - stack <= largest_frame &&
           ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) != 1;
}

/// To this thread, behind the handler, as it came: a debugger of the core file finds
/// the address. Async-signal-safe.
void send_again(int signal, siginfo_t* info) noexcept {
    if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::gettid(), signal, info) != 0) {
        raise(signal);
    }
}

/// Async-signal-safe, once the frames are prepared.
void report_crash(int signal, siginfo_t* info, void* context) noexcept {
    // A process that a task has forked by itself has no such record.
    if (::getpid() == reported_process) {
        // Another thread may crash at the same time, by another signal.
        const pid_t me = ::gettid();
        pid_t writer = 0;
        if (!writing_thread.compare_exchange_strong(writer, me) && writer != me) {
            for (;;) {
                ::pause();
            }
        }
        CrashRecord& record = crashing_worker->crash;
        record.code = info->si_code;
        record.stack_overflow = is_stack_overflow(signal, *info, context) ? 1 : 0;
        if (signal == SIGABRT) {
            write_abort_message(record.message);
        }
        write_crash_frames(record, context);
        record.address = carries_address(signal) && info->si_code > 0
                             ? reinterpret_cast<std::uint64_t>(info->si_addr)
                             : 0;
        record.signal.store(static_cast<std::uint32_t>(signal));
    }
    // The handler is gone (SA_RESETHAND), and not each fault happens again when we
    // return: int3 stands behind itself, and another thread may have mapped a page.
    send_again(signal, info);
}

void make_alternate_stack() {
    // The stack that overflowed is no place for a handler.
    constexpr std::size_t size = 64UL * 1024;
    stack_t stack{};
    stack.ss_size = size;
    stack.ss_sp =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp != MAP_FAILED) {
        sigaltstack(&stack, nullptr);
    }
}

/// The parent's own copy: the record is another worker's soon.
class KeptStack final : public UnreadStack {
public:
    KeptStack(const CrashStack& stack, int signal) : stack_(stack), signal_(signal) {}

    std::string in_words() const override {
        return crash_frames_in_words(stack_, signal_);
    }

private:
    const CrashStack stack_;
    const int signal_;
};

}  // namespace

void note_task_begun(WorkerControl& control) noexcept {
    // order: read when this process has ended.
    control.task_begun.store(mp::os::coarse_now(), std::memory_order_relaxed);
}

void install_crash_reporter(WorkerControl& control) {
    prepare_crash_frames();
    prepare_crash_message(control.crash.message);
    crashing_worker = &control;
    reported_process = ::getpid();
    make_alternate_stack();
    struct sigaction action {};
    action.sa_sigaction = report_crash;
    action.sa_flags = static_cast<int>(SA_SIGINFO | SA_RESETHAND | SA_ONSTACK);
    sigemptyset(&action.sa_mask);
    for (const int signal : crash_signals) {
        sigaction(signal, &action, nullptr);
    }
}

void set_end(CrashReport& report, std::optional<int> exitcode) {
    if (exitcode) {
        (*exitcode < 0 ? report.signal : report.exit_code) =
            *exitcode < 0 ? -*exitcode : *exitcode;
    }
}

std::unique_ptr<const UnreadStack> fill_crash_report(
    CrashReport& report, const WorkerControl& control, const mp::ProcessHandle& process
) {
    const auto exitcode = process.exitcode();
    set_end(report, exitcode);
    report.core_dumped = process.dumped_core();
    report.peak_memory_bytes = process.peak_memory_bytes();
    report.cpu_time = process.cpu_time();
    const std::uint64_t now = mp::os::coarse_now();
    const std::uint64_t begun = control.task_begun.load();
    if (begun != 0 && begun <= now) {
        report.ran_for = std::chrono::nanoseconds(now - begun);
    }
    // A record of no crash, or not of this one, was written by a task.
    const CrashRecord& record = control.crash;
    if (!report.signal ||
        record.signal.load() != static_cast<unsigned>(*report.signal)) {
        return nullptr;
    }
    report.si_code = record.code;
    report.fault_address = record.address;
    report.stack_overflow = report.signal == SIGSEGV && record.stack_overflow != 0;
    if (report.signal == SIGABRT) {
        report.message = crash_message_in_words(record.message);
    }
    return std::make_unique<const KeptStack>(record, *report.signal);
}

}  // namespace futures::detail
