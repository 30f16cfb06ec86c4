// SPDX-License-Identifier: BSL-1.0
#include "process_pool/crash_report.hpp"

#include "process_pool/crash_frames.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace futures::detail {

namespace {

constexpr std::array crash_signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};

// Set before the handlers are.
CrashRecord* crash_record = nullptr;
pid_t reported_process = 0;

std::atomic<pid_t> writing_thread{0};

bool carries_address(int signal) noexcept {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE ||
           signal == SIGILL;
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
        CrashRecord& record = *crash_record;
        write_crash_frames(record, context);
        record.address = carries_address(signal) && info->si_code > 0
                             ? reinterpret_cast<std::uint64_t>(info->si_addr)
                             : 0;
        record.signal.store(static_cast<std::uint32_t>(signal));
    }
    // The handler is gone (SA_RESETHAND). A fault happens again when we return, and
    // abort() raises again; what somebody sent must be sent again.
    if (info->si_code <= 0) {
        raise(signal);
    }
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

std::string signal_name(int signal) {
    const char* name = sigabbrev_np(signal);
    return name != nullptr ? "SIG" + std::string(name) : std::to_string(signal);
}

}  // namespace

void install_crash_reporter(CrashRecord& record) {
    prepare_crash_frames();
    crash_record = &record;
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

std::string end_in_words(std::optional<int> exitcode) {
    if (!exitcode) {
        return "is gone";
    }
    if (*exitcode < 0) {
        return "was killed by signal " + std::to_string(-*exitcode) + " (" +
               signal_name(-*exitcode) + ")";
    }
    return "exited with code " + std::to_string(*exitcode);
}

void fill_crash_report(
    CrashReport& report, const CrashRecord& record, std::optional<int> exitcode
) {
    if (exitcode) {
        (*exitcode < 0 ? report.signal : report.exit_code) =
            *exitcode < 0 ? -*exitcode : *exitcode;
    }
    // A record of no crash, or not of this one, was written by a task.
    if (!report.signal ||
        record.signal.load() != static_cast<unsigned>(*report.signal)) {
        return;
    }
    report.fault_address = record.address;
    report.stack = crash_frames_in_words(record);
}

}  // namespace futures::detail
