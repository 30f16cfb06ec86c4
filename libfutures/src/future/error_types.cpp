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
        encode(out, report.worker);
        out.put_value(report.pid);
        encode(out, report.signal);
        encode(out, report.exit_code);
        out.put_value(report.fault_address);
        encode(out, report.stack);
        out.put_value(report.peak_memory_bytes);
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
    report.worker = decode<std::string>(in);
    report.pid = in.get_value<pid_t>();
    report.signal = decode<std::optional<int>>(in);
    report.exit_code = decode<std::optional<int>>(in);
    report.fault_address = in.get_value<std::uintptr_t>();
    report.stack = decode<std::string>(in);
    report.peak_memory_bytes = in.get_value<std::size_t>();
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
