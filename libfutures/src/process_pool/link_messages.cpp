// SPDX-License-Identifier: BSL-1.0
#include "process_pool/link_messages.hpp"

#include "mp/detail/code_ref.hpp"

#include <chrono>
#include <type_traits>

namespace futures::detail {

static_assert(std::is_trivially_copyable_v<SubmitMessage>);

void write_submitted(
    mp::detail::ByteWriter& out,
    const SubmitOptions& options,
    int priority,
    const TaskName& name,
    std::span<const std::byte> call
) {
    SubmitMessage said{};
    said.timeout = options.timeout.duration().count();
    said.grace = options.grace.duration().count();
    said.kill_after = options.kill_after ? options.kill_after->duration().count() : -1;
    said.limits = LimitNumbers(options.limits);
    said.retry_delay = options.retry_delay;
    said.retries = options.retries;
    said.priority = priority;
    said.detached = options.detached ? 1 : 0;
    said.names_function = name.function() != nullptr ? 1 : 0;
    said.retries_on = options.retry_on ? 1 : 0;
    out.put_value(said);
    if (name.function() != nullptr) {
        mp::detail::write_code_ref(out, name.function());
    }
    if (options.retry_on) {
        mp::detail::write_code_ref(
            out, reinterpret_cast<const void*>(options.retry_on.matches())
        );
    }
    out.put_text(name.type());
    out.put_text(options.name);
    out.bulk(call.data(), call.size());
}

SubmittedCall read_submitted(mp::detail::ByteReader& in) {
    using std::chrono::nanoseconds;
    SubmittedCall read;
    SubmitOptions& options = read.options;
    const auto said = in.get_value<SubmitMessage>();
    options.timeout = nanoseconds(said.timeout);
    options.grace = nanoseconds(said.grace);
    if (said.kill_after >= 0) {
        options.kill_after = nanoseconds(said.kill_after);
    }
    options.limits = said.limits.limits();
    options.retry_delay = said.retry_delay;
    options.retries = said.retries;
    options.priority = said.priority;
    options.detached = said.detached != 0;
    if (said.names_function != 0) {
        read.function = mp::detail::find_code_ref(in);
    }
    if (said.retries_on != 0) {
        options.retry_on = reinterpret_cast<RetryOn::Matches>(
            const_cast<void*>(mp::detail::read_code_ref(in))
        );
    }
    read.type = in.get_text();
    options.name = in.get_text();
    read.call = in.rest();
    check_options_of_task(options);
    return read;
}

}  // namespace futures::detail
