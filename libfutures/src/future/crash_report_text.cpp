// SPDX-License-Identifier: BSL-1.0
// What a crash report says to people.
#include "futures/errors.hpp"

#include "util/hex.hpp"
#include "util/number_text.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <string.h>
#include <string_view>

namespace futures {

namespace {

/// Of a message in one line.
constexpr std::size_t longest_in_line = 300;

std::string name_of_signal(int signal) {
    const char* const name = ::sigabbrev_np(signal);
    return name != nullptr ? "SIG" + std::string(name) : std::to_string(signal);
}

struct CodeName {
    int signal;
    int code;
    const char* words;
};

constexpr std::array code_names{
    CodeName{SIGSEGV, SEGV_MAPERR, "nothing is mapped there"},
    CodeName{SIGSEGV, SEGV_ACCERR, "that access is not allowed there"},
    CodeName{SIGBUS, BUS_ADRALN, "the address is not aligned"},
    CodeName{SIGBUS, BUS_ADRERR, "there is no memory or file behind it"},
    CodeName{SIGBUS, BUS_OBJERR, "the hardware failed"},
    CodeName{SIGFPE, FPE_INTDIV, "division of an integer by zero"},
    CodeName{SIGFPE, FPE_INTOVF, "overflow of an integer"},
    CodeName{SIGFPE, FPE_FLTDIV, "division by zero"},
    CodeName{SIGFPE, FPE_FLTOVF, "overflow"},
    CodeName{SIGFPE, FPE_FLTUND, "underflow"},
    CodeName{SIGFPE, FPE_FLTRES, "inexact result"},
    CodeName{SIGFPE, FPE_FLTINV, "invalid operation"},
    CodeName{SIGILL, ILL_ILLOPC, "no such instruction"},
    CodeName{SIGILL, ILL_ILLOPN, "no such operand"},
    CodeName{SIGILL, ILL_PRVOPC, "the instruction is not allowed"},
};

/// What the kernel means by it; empty where the signal says as much.
std::string_view words_for_code(int signal, int code) {
    for (const CodeName& name : code_names) {
        if (name.signal == signal && name.code == code) {
            return name.words;
        }
    }
    switch (code) {
    case SI_USER:
        return "sent by a process";
    case SI_TKILL:
        return signal == SIGABRT ? "" : "raised by the program";
    default:
        return {};
    }
}

/// The kernel sends these for an address.
bool is_at_an_address(int signal, const std::optional<int>& code) {
    return code && *code > 0 &&
           (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL ||
            signal == SIGFPE);
}

std::string in_one_line(std::string_view text) {
    std::string line(text.substr(0, longest_in_line));
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line.size() < text.size() ? line + " ..." : line;
}

std::string megabytes_text(std::size_t bytes) {
    const double tenths = std::round(static_cast<double>(bytes) / (1UL << 20U) * 10);
    return mp::detail::number_text(tenths / 10) + " MiB";
}

void add_line(std::string& block, const char* title, const std::string& text) {
    if (!text.empty()) {
        block += "  " + std::string(title) + ": " + text + "\n";
    }
}

std::string_view take_line(std::string_view& text) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
}

/// Each line of the text, indented; equal ones that follow each other once.
void add_lines(std::string& block, const char* title, std::string_view text) {
    if (text.empty()) {
        return;
    }
    block += "  " + std::string(title) + ":\n";
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        std::size_t times = 1;
        for (std::string_view rest = text; !rest.empty() && take_line(rest) == line;) {
            text = rest;
            ++times;
        }
        block += "    " + std::string(line);
        block += times > 1 ? " (" + std::to_string(times) + " times)\n" : "\n";
    }
}

std::string task_in_words(const CrashReport& report) {
    std::string text = report.task;
    if (report.attempt > 1) {
        text += ", attempt " + std::to_string(report.attempt);
    }
    if (report.ran_for) {
        text += ", ran for " + mp::detail::seconds_text(*report.ran_for);
    }
    return text;
}

std::string use_in_words(const CrashReport& report) {
    std::string text;
    if (report.peak_memory_bytes != 0) {
        text = "at most " + megabytes_text(report.peak_memory_bytes) + " of memory, " +
               mp::detail::seconds_text(report.cpu_time) + " of CPU time";
    }
    return text;
}

}  // namespace

std::string CrashReport::cause() const {
    if (exit_code) {
        return "exited with code " + std::to_string(*exit_code);
    }
    if (!signal) {
        return "is gone";
    }
    std::string text = "was killed by signal " + std::to_string(*signal) + " (" +
                       name_of_signal(*signal) + ")";
    if (out_of_memory) {
        text += " of the kernel's OOM killer: the system or its control group ran out "
                "of memory";
    }
    if (is_at_an_address(*signal, si_code)) {
        text += " at address " + mp::detail::hex_number(fault_address);
    }
    if (core_dumped) {
        text += " and left a core dump";
    }
    if (stack_overflow) {
        text += ": stack overflow";
    } else if (si_code) {
        const auto words = words_for_code(*signal, *si_code);
        text += words.empty() ? "" : ": " + std::string(words);
    }
    if (!message.empty()) {
        text += ": " + in_one_line(message);
    }
    return text;
}

std::string CrashReport::to_string() const {
    std::string block =
        "worker '" + worker + "' (pid " + std::to_string(pid) + ") " + cause() + "\n";
    add_line(block, "task", task_in_words(*this));
    if (message.size() > longest_in_line || message.find('\n') != std::string::npos) {
        add_lines(block, "message", message);
    }
    add_line(block, "used", use_in_words(*this));
    add_lines(block, "stack", stack);
    add_lines(block, "end of stdout", last_stdout);
    add_lines(block, "end of stderr", last_stderr);
    return block;
}

namespace detail {

/// No lock: a child that is forked while another thread is here could never have it.
class LostReport {
public:
    LostReport(CrashReport report, std::unique_ptr<const UnreadStack> stack) noexcept
        : report_(std::move(report)), stack_(std::move(stack)) {}

    LostReport(const LostReport&) = delete;
    LostReport& operator=(const LostReport&) = delete;

    ~LostReport() { delete read_.load(); }

    const CrashReport& get() const noexcept {
        if (!stack_) {
            return report_;
        }
        if (const CrashReport* const read = read_.load()) {
            return *read;
        }
        try {
            auto whole = std::make_unique<CrashReport>(report_);
            whole->stack = stack_->in_words();
            const CrashReport* none = nullptr;
            if (read_.compare_exchange_strong(none, whole.get())) {
                return *whole.release();
            }
            return *none;  // another thread was quicker
        } catch (...) {
            return report_;  // no memory
        }
    }

private:
    // Set once.
    const CrashReport report_;
    const std::unique_ptr<const UnreadStack> stack_;
    // Own synchronisation.
    mutable std::atomic<const CrashReport*> read_{nullptr};
};

}  // namespace detail

WorkerLost::WorkerLost(
    const std::string& what,
    CrashReport report,
    std::unique_ptr<const detail::UnreadStack> stack
)
    : BrokenProcessPool(what),
      report_(std::make_shared<const detail::LostReport>(
          std::move(report), std::move(stack)
      )) {}

const CrashReport& WorkerLost::report() const noexcept {
    return report_->get();
}

}  // namespace futures
