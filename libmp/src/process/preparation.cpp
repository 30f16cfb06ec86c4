// SPDX-License-Identifier: BSL-1.0
// The bytes of a Preparation.
#include "process/preparation.hpp"

#include "data/key_travel.hpp"

namespace mp::detail {
namespace {

void put_bytes(ByteWriter& out, std::span<const std::byte> bytes) {
    out.put_value(static_cast<std::uint64_t>(bytes.size()));
    out.put(bytes.data(), bytes.size());
}

std::span<const std::byte> get_bytes(ByteReader& in) {
    return in.view(in.get_value<std::uint64_t>());
}

void put_environment(ByteWriter& out, const Environment& environment) {
    out.put_value(static_cast<std::uint32_t>(environment.size()));
    for (const auto& [name, value] : environment) {
        out.put_text(name);
        out.put_value(static_cast<std::uint8_t>(value.has_value()));
        out.put_text(value.value_or(std::string()));
    }
}

Environment get_environment(ByteReader& in) {
    Environment environment;
    for (auto left = in.get_value<std::uint32_t>(); left > 0; --left) {
        const std::string name = in.get_text();
        const bool set = in.get_value<std::uint8_t>() != 0;
        std::string value = in.get_text();
        environment[name] = set ? std::optional(std::move(value)) : std::nullopt;
    }
    return environment;
}

}  // namespace

void Preparation::write(ByteWriter& out) const {
    out.put_text(name);
    put_bytes(out, std::as_bytes(std::span(identity)));
    out.put_value(KeyTravel::hand_over(authkey));
    out.put_text(parent_name);
    out.put_text(directory);
    put_environment(out, environment);
    out.put_value(static_cast<std::uint8_t>(daemon));
    out.put_value(static_cast<std::uint8_t>(die_with_parent));
    out.put_value(parent_pid);
    out.put_value(start_method ? static_cast<int>(*start_method) : -1);
    out.put_value(log_level);
    out.put_value(parent_watch_fd);
    out.put_value(tracker_fd);
}

Preparation Preparation::read(ByteReader& in) {
    Preparation p;
    p.name = in.get_text();
    const auto numbers = get_bytes(in);
    p.identity.resize(numbers.size() / sizeof(int));
    ByteReader(numbers).get(p.identity.data(), p.identity.size() * sizeof(int));
    p.authkey = KeyTravel::take_over(in.get_value<std::uint32_t>());
    p.parent_name = in.get_text();
    p.directory = in.get_text();
    p.environment = get_environment(in);
    p.daemon = in.get_value<std::uint8_t>() != 0;
    p.die_with_parent = in.get_value<std::uint8_t>() != 0;
    p.parent_pid = in.get_value<pid_t>();
    const int method = in.get_value<int>();
    if (method >= 0) {
        p.start_method = static_cast<StartMethod>(method);
    }
    p.log_level = in.get_value<int>();
    p.parent_watch_fd = in.get_value<std::uint32_t>();
    p.tracker_fd = in.get_value<std::int32_t>();
    return p;
}

}  // namespace mp::detail
