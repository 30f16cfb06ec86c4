// SPDX-License-Identifier: BSL-1.0
#include "future/error_types.hpp"

#include "futures/errors.hpp"
#include "mp/remote_error.hpp"

#include <string>

namespace futures::detail {

namespace {

using mp::detail::ByteReader;
using mp::detail::ByteWriter;
using mp::detail::decode;
using mp::detail::encode;

void save_worker_lost(ByteWriter& out) {
    try {
        throw;
    } catch (const WorkerLost& lost) {
        const CrashReport& report = lost.report();
        encode(out, report.task);
        out.put_value(report.attempt);
        const bool known = report.ran_for.has_value();
        out.put_value(known);
        out.put_value(report.ran_for.value_or(std::chrono::nanoseconds()).count());
        encode(out, report.worker);
        out.put_value(report.pid);
        encode(out, report.signal);
        encode(out, report.si_code);
        encode(out, report.exit_code);
        out.put_value(report.core_dumped);
        out.put_value(report.out_of_memory);
        out.put_value(report.fault_address);
        out.put_value(report.stack_overflow);
        encode(out, report.message);
        encode(out, report.stack);
        out.put_value(report.peak_memory_bytes);
        out.put_value(report.cpu_time.count());
        encode(out, report.last_stdout);
        encode(out, report.last_stderr);
        encode(out, report.last_output);
        out.put_value(lost.attempts());
        out.put_value(std::uint8_t{lost.is_poison()});
    }
}

std::exception_ptr make_worker_lost(
    ByteReader& in, const std::string& what, const std::exception_ptr& cause
) {
    CrashReport report;
    report.task = decode<std::string>(in);
    report.attempt = in.get_value<std::uint32_t>();
    const bool known = in.get_value<std::uint8_t>() != 0;
    const std::chrono::nanoseconds ran_for(in.get_value<std::chrono::nanoseconds::rep>()
    );
    if (known) {
        report.ran_for = ran_for;
    }
    report.worker = decode<std::string>(in);
    report.pid = in.get_value<pid_t>();
    report.signal = decode<std::optional<int>>(in);
    report.si_code = decode<std::optional<int>>(in);
    report.exit_code = decode<std::optional<int>>(in);
    report.core_dumped = in.get_value<std::uint8_t>() != 0;
    report.out_of_memory = in.get_value<std::uint8_t>() != 0;
    report.fault_address = in.get_value<std::uintptr_t>();
    report.stack_overflow = in.get_value<std::uint8_t>() != 0;
    report.message = decode<std::string>(in);
    report.stack = decode<std::string>(in);
    report.peak_memory_bytes = in.get_value<std::size_t>();
    report.cpu_time =
        std::chrono::microseconds(in.get_value<std::chrono::microseconds::rep>());
    report.last_stdout = decode<std::string>(in);
    report.last_stderr = decode<std::string>(in);
    report.last_output = decode<std::string>(in);
    const auto attempts = in.get_value<std::uint32_t>();
    const bool is_poison = in.get_value<std::uint8_t>() != 0;
    return mp::detail::with_cause(
        WorkerLost(what, std::move(report), attempts, is_poison), cause
    );
}

}  // namespace

void list_error_types() {
    mp::register_exception<Error>();
    mp::register_exception<CancelledError>();
    mp::register_exception<InvalidStateError>();
    mp::register_exception<DependencyError>();
    mp::register_exception<TimeoutError>();
    mp::register_exception<TaskTimeout>();
    mp::register_exception<BrokenExecutor>();
    mp::register_exception<BrokenThreadPool>();
    mp::register_exception<BrokenProcessPool>();
    mp::register_exception<DeadlockError>();
    static mp::detail::ExceptionType worker_lost{
        &typeid(WorkerLost), save_worker_lost, make_worker_lost};
    mp::detail::list_exception_type(worker_lost);
}

}  // namespace futures::detail
