// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/limited_call.hpp"

#include "mp/detail/nested_exception.hpp"
#include "mp/errors.hpp"

#include "os/check.hpp"
#include "process_pool/limit_text.hpp"
#include "process_pool/memory_size.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <time.h>
#include <utility>

namespace futures::detail {

namespace os = mp::os;

namespace {

std::int64_t number(const std::optional<std::uint64_t>& limit) noexcept {
    return limit ? static_cast<std::int64_t>(std::min<std::uint64_t>(*limit, INT64_MAX))
                 : LimitNumbers::none;
}

std::optional<std::uint64_t> limit(std::int64_t number) noexcept {
    return number < 0 ? std::nullopt
                      : std::optional(static_cast<std::uint64_t>(number));
}

// A worker's own: the thread that runs tasks is the only one that comes here.
Limits limits_of_pool;
const Limits* limits_now = nullptr;  ///< of the task that runs

/// Sends SIGXCPU to this process when it has used so much more processor time.
class CpuTimer {
public:
    static void set(std::chrono::nanoseconds left) {
        static pid_t owner = 0;
        static int timer = -1;
        // A forked child has none of its parent's.
        if (owner != ::getpid()) {
            timer = make();
            owner = ::getpid();
        }
        constexpr std::int64_t second = 1'000'000'000;
        itimerspec times{};
        times.it_value.tv_sec = left.count() / second;
        times.it_value.tv_nsec = left.count() % second;
        if (left.count() > 0) {
            times.it_interval.tv_sec = 1;
        }
        os::check(
            ::syscall(SYS_timer_settime, timer, 0, &times, nullptr), "timer_settime"
        );
    }

    /// Requires: set() has returned.
    static void unset() noexcept {
        try {
            set({});
        } catch (const std::exception&) {
            std::abort();  // the next task would be ended by it
        }
    }

private:
    static int make() {
        sigevent event{};
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = SIGXCPU;
        int timer = -1;
        os::check(
            ::syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &timer),
            "timer_create"
        );
        return timer;
    }
};

/// The soft limit of a resource, while it lives; the hard one stays, so that the soft
/// one can be had back.
class SoftLimit {
public:
    SoftLimit(int resource, const std::optional<std::uint64_t>& limit)
        : resource_(resource) {
        if (!limit) {
            return;
        }
        const auto kind = static_cast<__rlimit_resource>(resource_);
        os::check(getrlimit(kind, &before_), "getrlimit");
        rlimit now = before_;
        now.rlim_cur = std::min<rlim_t>(*limit, before_.rlim_max);
        os::check(setrlimit(kind, &now), "setrlimit");
        is_set_ = true;
    }

    ~SoftLimit() {
        if (is_set_) {
            setrlimit(static_cast<__rlimit_resource>(resource_), &before_);
        }
    }

    SoftLimit(const SoftLimit&) = delete;
    SoftLimit& operator=(const SoftLimit&) = delete;

private:
    int resource_;
    bool is_set_ = false;
    rlimit before_{};
};

/// What the worker had when the task began: its limit of descriptors, or the pool's,
/// may forbid to look when the task's own limits are set.
std::uint64_t data_at_begin = 0;

std::optional<std::uint64_t> data_limit(const Limits& limits, bool is_outermost) {
    if (is_outermost) {
        data_at_begin = limits.memory || limits.open_files ? memory_size().data : 0;
    } else if (data_at_begin == 0) {
        data_at_begin = memory_size().data;
    }
    if (!limits.memory) {
        return std::nullopt;
    }
    if (data_at_begin == 0) {
        throw std::runtime_error(
            "the task's limit of memory cannot be set: /proc/self/statm cannot be read"
        );
    }
    return *limits.memory > RLIM_INFINITY - data_at_begin
               ? RLIM_INFINITY
               : data_at_begin + *limits.memory;
}

/// For one task.
class LimitScope {
public:
    explicit LimitScope(const Limits& limits)
        : cpu_(limits.cpu_time.has_value()),
          data_(RLIMIT_DATA, data_limit(limits, limits_now == nullptr)),
          files_(RLIMIT_NOFILE, limits.open_files),
          file_size_(RLIMIT_FSIZE, limits.file_size),
          processes_(RLIMIT_NPROC, limits.processes) {
        if (cpu_) {
            CpuTimer::set(*limits.cpu_time);
        }
        before_ = std::exchange(limits_now, &limits);
    }

    ~LimitScope() {
        if (cpu_) {
            CpuTimer::unset();
        }
        limits_now = before_;
    }

    LimitScope(const LimitScope&) = delete;
    LimitScope& operator=(const LimitScope&) = delete;

private:
    const Limits* before_ = nullptr;
    bool cpu_;
    SoftLimit data_;  // first: it looks, for which the others may leave no room
    SoftLimit files_;
    SoftLimit file_size_;
    SoftLimit processes_;
};

bool is_no_memory(const std::exception_ptr& thrown) noexcept {
    try {
        std::rethrow_exception(thrown);
    } catch (const std::bad_array_new_length&) {
        return false;  // nobody could ever have so much
    } catch (const std::bad_alloc&) {
        return true;
    } catch (...) {
        return false;
    }
}

std::exception_ptr
told(const std::exception_ptr& thrown, const std::optional<std::uint64_t>& memory) {
    return mp::detail::with_cause(
        mp::ResourceLimitExceeded(
            "the task exceeded its limit of memory, " + size_text(*memory) +
            " (.limits.memory)"
        ),
        thrown
    );
}

void run_under(const Limits& limits, mp::detail::CallFrame& frame) {
    std::exception_ptr thrown;
    // What is thrown here is nobody's serialisation that failed.
    const auto phase = std::exchange(frame.phase, mp::detail::CallPhase::run);
    try {
        const LimitScope scope(limits);
        frame.phase = phase;
        mp::detail::run_call(frame);
        return;
    } catch (...) {
        if (!limits.memory || !is_no_memory(std::current_exception())) {
            throw;
        }
        thrown = std::current_exception();
    }
    // Here there is memory again.
    frame.phase =
        mp::detail::CallPhase::run;  // it is nobody's serialisation that failed
    std::rethrow_exception(told(thrown, limits.memory));
}

/// What a limited call begins with.
void limited_call(mp::detail::CallFrame& frame) {
    const Limits own = frame.in.get_value<LimitNumbers>().limits();
    if (frame.phase == mp::detail::CallPhase::describe) [[unlikely]] {
        mp::detail::run_call(frame);
        return;
    }
    run_under(combined(own, limits_of_pool), frame);
}

}  // namespace

LimitNumbers::LimitNumbers(const Limits& limits) noexcept
    : memory(number(limits.memory)),
      cpu_time(limits.cpu_time ? limits.cpu_time->count() : none),
      open_files(number(limits.open_files)),
      file_size(number(limits.file_size)),
      processes(number(limits.processes)) {}

Limits LimitNumbers::limits() const noexcept {
    Limits result;
    result.memory = limit(memory);
    if (cpu_time > 0) {
        result.cpu_time = std::chrono::nanoseconds(cpu_time);
    }
    result.open_files = limit(open_files);
    result.file_size = limit(file_size);
    result.processes = limit(processes);
    return result;
}

void begin_limited_call(mp::detail::ByteWriter& out, const Limits& limits) {
    const mp::detail::Thunk thunk = &limited_call;
    mp::detail::write_code_ref(out, reinterpret_cast<const void*>(thunk));
    out.put_value(LimitNumbers(limits));
}

void limit_calls(const Limits& limits) noexcept {
    limits_of_pool = limits;
    limits_now = nullptr;  // that of a task of our parent, if it had one
}

void run_limited(mp::detail::CallFrame& frame) {
    if (limits_of_pool.any()) [[unlikely]] {
        run_under(limits_of_pool, frame);
    } else {
        mp::detail::run_call(frame);
    }
}

std::exception_ptr limit_told(std::exception_ptr thrown) noexcept {
    if (limits_now == nullptr || !limits_now->memory || !is_no_memory(thrown)) {
        return thrown;
    }
    const std::exception_ptr better = told(thrown, limits_now->memory);
    return better != nullptr ? better : thrown;
}

}  // namespace futures::detail
