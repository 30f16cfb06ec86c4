// SPDX-License-Identifier: BSL-1.0
// The bytes of a Preparation.
#include "process/preparation.hpp"

namespace mp::detail {
namespace {

void put_text(ByteWriter& out, std::span<const std::byte> bytes) {
    out.put_value(static_cast<std::uint64_t>(bytes.size()));
    out.put(bytes.data(), bytes.size());
}

void put_text(ByteWriter& out, const std::string& text) {
    put_text(out, std::as_bytes(std::span(text)));
}

std::span<const std::byte> get_bytes(ByteReader& in) {
    const auto size = in.get_value<std::uint64_t>();
    return in.view(size);
}

std::string get_text(ByteReader& in) {
    const auto bytes = get_bytes(in);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Preparation::write(ByteWriter& out) const {
    put_text(out, name);
    put_text(out, std::as_bytes(std::span(identity)));
    put_text(out, authkey.bytes());
    put_text(out, parent_name);
    put_text(out, directory);
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
    p.name = get_text(in);
    const auto numbers = get_bytes(in);
    p.identity.resize(numbers.size() / sizeof(int));
    ByteReader(numbers).get(p.identity.data(), p.identity.size() * sizeof(int));
    p.authkey = AuthenticationString(get_bytes(in));
    p.parent_name = get_text(in);
    p.directory = get_text(in);
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
