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
#include <new>
#include <optional>
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
    static void set(std::chrono::nanoseconds left) noexcept {
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
        ::syscall(SYS_timer_settime, timer, 0, &times, nullptr);
    }

private:
    static int make() noexcept {
        sigevent event{};
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = SIGXCPU;
        int timer = -1;
        ::syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &timer);
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

std::optional<std::uint64_t> data_limit(const Limits& limits) noexcept {
    if (!limits.memory) {
        return std::nullopt;
    }
    const std::uint64_t now = memory_size().data;
    return *limits.memory > RLIM_INFINITY - now ? RLIM_INFINITY : now + *limits.memory;
}

/// For one task.
class LimitScope {
public:
    explicit LimitScope(const Limits& limits)
        : before_(std::exchange(limits_now, &limits)),
          cpu_(limits.cpu_time.has_value()),
          files_(RLIMIT_NOFILE, limits.open_files),
          file_size_(RLIMIT_FSIZE, limits.file_size),
          processes_(RLIMIT_NPROC, limits.processes),
          data_(RLIMIT_DATA, data_limit(limits)) {
        if (cpu_) {
            CpuTimer::set(*limits.cpu_time);
        }
    }

    ~LimitScope() {
        if (cpu_) {
            CpuTimer::set({});
        }
        limits_now = before_;
    }

    LimitScope(const LimitScope&) = delete;
    LimitScope& operator=(const LimitScope&) = delete;

private:
    const Limits* before_;
    bool cpu_;
    SoftLimit files_;
    SoftLimit file_size_;
    SoftLimit processes_;
    SoftLimit data_;
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
    try {
        const LimitScope scope(limits);
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
