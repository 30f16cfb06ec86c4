// SPDX-License-Identifier: BSL-1.0
#include "process_pool/crash_report.hpp"

#include "mp/detail/code_ref.hpp"

#include "util/hex.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <execinfo.h>

namespace futures::detail {

namespace {

constexpr std::array crash_signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};

// Set before the handlers are.
CrashRecord* crash_record = nullptr;

bool carries_address(int signal) noexcept {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE ||
           signal == SIGILL;
}

/// Async-signal-safe, once backtrace() has been called before.
void report_crash(int signal, siginfo_t* info, void*) noexcept {
    CrashRecord& record = *crash_record;
    std::array<void*, CrashRecord::max_frames> frames{};
    const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
    std::memcpy(
        record.frame.data(),
        frames.data(),
        static_cast<std::size_t>(count) * sizeof(void*)
    );
    record.frames = static_cast<std::uint32_t>(count);
    record.address = carries_address(signal) && info->si_code > 0
                         ? reinterpret_cast<std::uint64_t>(info->si_addr)
                         : 0;
    record.signal.store(static_cast<std::uint32_t>(signal));
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

std::string frame_in_words(std::uint64_t frame, std::uint64_t worker_base) {
    // order: found at the first use of code references, long ago.
    const auto base = mp::detail::program_code.base.load(std::memory_order_relaxed);
    const auto begin = mp::detail::program_code.begin.load(std::memory_order_relaxed);
    const auto size = mp::detail::program_code.size.load(std::memory_order_relaxed);
    const std::uint64_t here = frame - worker_base + base;
    if (here - begin < size) {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): an address found by arithmetic
        return mp::detail::function_name(reinterpret_cast<const void*>(here));
    }
    return mp::detail::hex_number(frame);
}

std::string signal_name(int signal) {
    const char* name = sigabbrev_np(signal);
    return name != nullptr ? "SIG" + std::string(name) : std::to_string(signal);
}

}  // namespace

void install_crash_reporter(CrashRecord& record) {
    std::array<void*, 1> frame{};
    backtrace(frame.data(), 1);  // loads what it needs; too late in a handler
    // order: as in frame_in_words.
    record.program_base = mp::detail::program_code.base.load(std::memory_order_relaxed);
    crash_record = &record;
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
    if (record.signal.load() == 0) {
        return;
    }
    report.fault_address = record.address;
    const auto frames = std::min<std::size_t>(record.frames, CrashRecord::max_frames);
    for (std::size_t i = 0; i < frames; ++i) {
        report.stack += frame_in_words(record.frame[i], record.program_base) + "\n";
    }
}

}  // namespace futures::detail
