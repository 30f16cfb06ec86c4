// SPDX-License-Identifier: BSL-1.0
// Call, and what a call's bytes hold of its function.
#include "mp/call.hpp"

#include "mp/errors.hpp"

#include "data/spawning.hpp"

#include <cstring>
#include <utility>

namespace mp {

namespace detail {

namespace {

// A pointer to member function in the Itanium C++ ABI, which every compiler on Linux
// follows: the address, or for a virtual function the offset in the vtable, then what
// to add to `this`. One bit tells which; where, depends on the machine.
struct MemberFunction {
    std::uintptr_t code;
    std::ptrdiff_t adjustment;

    bool is_virtual() const noexcept {
#if defined(__aarch64__) || defined(__arm__)
        return (adjustment & 1) != 0;
#else
        return (code & 1) != 0;
#endif
    }
};

enum class Dispatch : std::uint8_t { direct, by_vtable };

constexpr std::string_view unknown_name = "unknown";

/// A function of which nothing else is known than that a peer named it.
bool is_call_thunk(const void* function) {
    const std::string name = name_of_function_at(function);
    return name.starts_with("void mp::detail::call_thunk<") &&
           name.ends_with(">(mp::detail::CallFrame&)");
}

}  // namespace

void write_member_function(ByteWriter& out, const void* pointer) {
    MemberFunction member{};
    std::memcpy(&member, pointer, sizeof member);
    out.put_value(member.adjustment);
    if (member.is_virtual()) {
        out.put_value(Dispatch::by_vtable);
        out.put_value(member.code);
    } else {
        out.put_value(Dispatch::direct);
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the ABI has the address there
        write_code_ref(out, reinterpret_cast<const void*>(member.code));
    }
}

void read_member_function(ByteReader& in, void* pointer) {
    MemberFunction member{};
    member.adjustment = in.get_value<std::ptrdiff_t>();
    if (in.get_value<Dispatch>() == Dispatch::by_vtable) {
        member.code = in.get_value<std::uintptr_t>();
        if (!member.is_virtual()) {
            throw SerializationError(
                SerializationPhase::decode, "not a pointer to a virtual function"
            );
        }
    } else {
        member.code = reinterpret_cast<std::uintptr_t>(read_code_ref(in));
    }
    std::memcpy(pointer, &member, sizeof member);
}

void describe_function(CallFrame& frame, std::string_view name) {
    frame.out.put(name.data(), name.size());
}

void describe_function(CallFrame& frame, const void* function) {
    describe_function(
        frame,
        function != nullptr ? std::string_view(function_name(function)) : unknown_name
    );
}

void throw_bytes_left_over(std::size_t left) {
    throw SerializationError(
        SerializationPhase::decode,
        "the arguments of a call end " + std::to_string(left) +
            " bytes before its message does; does a serialize() read less than it "
            "writes?"
    );
}

std::string call_name(std::span<const std::byte> bytes, CallOrigin origin) {
    ByteReader in(bytes);
    ByteWriter out;
    CallFrame frame{in, out, CallPhase::describe};
    try {
        const void* const thunk = find_code_ref(in);
        if (thunk == nullptr || (origin == CallOrigin::peer && !is_call_thunk(thunk))) {
            return std::string(unknown_name);
        }
        reinterpret_cast<Thunk>(const_cast<void*>(thunk))(frame);
    } catch (const SerializationError&) {  // the bytes end before a name does
        return std::string(unknown_name);
    }
    const auto name = out.data();
    return {reinterpret_cast<const char*>(name.data()), name.size()};
}

}  // namespace detail

Call::Call(
    std::span<const std::byte> bytes,
    std::shared_ptr<const detail::Carried> carried,
    detail::CallOrigin origin
)
    : bytes_(
          reinterpret_cast<const unsigned char*>(bytes.data()),
          reinterpret_cast<const unsigned char*>(bytes.data()) + bytes.size()
      ),
      carried_(std::move(carried)),
      origin_(origin) {}

void Call::operator()() const {
    if (bytes_.empty()) {
        throw StateError("an empty mp::Call was called");
    }
    detail::ByteReader in(bytes());
    detail::ByteWriter out;
    detail::CallFrame frame{in, out};
    if (carried_) {
        const detail::ArrivedScope scope(*carried_);
        detail::run_call(frame);
    } else {
        detail::run_call(frame);
    }
}

std::vector<std::uint32_t> Call::hand_over() const {
    std::vector<std::uint32_t> descriptors;
    for (std::uint32_t place = 0; carried_ && place < carried_->size(); ++place) {
        if (!detail::spawning()) {
            throw StateError(
                "a call that carries what processes share can travel only to a "
                "process that is being started"
            );
        }
        descriptors.push_back(detail::hand_over(carried_->fd(place)));
    }
    return descriptors;
}

void Call::take_over(const std::vector<std::uint32_t>& descriptors) {
    carried_.reset();
    if (!descriptors.empty()) {
        auto carried = std::make_shared<detail::Carried>();
        for (const std::uint32_t number : descriptors) {
            carried->add_received(detail::take_over(number));
        }
        carried_ = std::move(carried);
    }
}

std::string Call::name() const {
    return bytes_.empty() ? std::string() : detail::call_name(bytes(), origin_);
}

std::span<const std::byte> Call::bytes() const noexcept {
    return std::as_bytes(std::span(bytes_));
}

}  // namespace mp
