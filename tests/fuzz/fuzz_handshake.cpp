// SPDX-License-Identifier: BSL-1.0
// A handshake whose other side says anything, or the right thing with a few bytes
// changed, lost or added on the way: only a side that says exactly the right thing gets
// in.
#include "mp/errors.hpp"

#include "os/socket.hpp"
#include "wire/handshake.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

using mp::detail::Binding;
using mp::detail::Handshake;
using mp::detail::HandshakePart;
using mp::detail::HandshakeRules;
using mp::detail::HandshakeSide;
using Bytes = std::vector<std::byte>;

const mp::AuthenticationString key("the key of the fuzzer");

// A side, and the far end of its socket.
struct Side {
    Side(HandshakeSide side, HandshakePart part, HandshakeRules rules)
        : handshake(part, binding_of(side), key, rules) {
        auto [a, b] = mp::os::make_socketpair(mp::os::SocketKind::stream);
        near = std::move(a);
        far = std::move(b);
    }

    /// False when it has failed.
    bool advance() {
        try {
            through = handshake.advance(near.get()) == Handshake::Wants::nothing;
            return true;
        } catch (const mp::AuthenticationError&) {
        } catch (const mp::EOFError&) {
        } catch (const std::system_error&) {
        }
        through = false;
        return false;
    }

    static Binding binding_of(HandshakeSide side) {
        Binding binding;
        binding.side = side;
        return binding;
    }

    Bytes said() {
        Bytes buffer(1024);
        const auto n = mp::os::try_receive(far.get(), buffer);
        buffer.resize(n.value_or(0));
        return buffer;
    }

    void hear(const Bytes& bytes) {
        if (!bytes.empty()) {
            mp::os::try_send(far.get(), bytes);
        }
    }

    mp::UniqueFd near;
    mp::UniqueFd far;
    Handshake handshake;
    bool through = false;
};

// The input, as instructions for what to do to bytes on their way.
class Mischief {
public:
    explicit Mischief(std::span<const std::uint8_t> input) : input_(input) {}

    std::uint8_t next() noexcept {
        if (input_.empty()) {
            return 0;
        }
        const std::uint8_t value = input_[0];
        input_ = input_.subspan(1);
        return value;
    }

    Bytes on(Bytes bytes) {
        const Bytes before = bytes;
        const std::uint8_t what = next();
        const std::size_t where = bytes.empty() ? 0 : next() % bytes.size();
        const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(where);
        const auto value = static_cast<std::byte>(what != 0 ? next() : 0);
        switch (what % 5) {
        case 1:
            if (!bytes.empty()) {
                *at ^= value;
            }
            break;
        case 2:
            bytes.erase(at, bytes.end());
            break;
        case 3:
            bytes.insert(at, value);
            break;
        case 4:
            if (!bytes.empty()) {
                bytes.erase(at);
            }
            break;
        default:
            break;
        }
        changed = changed || bytes != before;
        // What is only added behind a verdict belongs to the connection.
        harmful = harmful || bytes.size() < before.size() ||
                  !std::equal(before.begin(), before.end(), bytes.begin());
        return bytes;
    }

    bool changed = false;
    bool harmful = false;

private:
    std::span<const std::uint8_t> input_;
};

void relayed(Mischief mischief, HandshakeSide side, HandshakeRules rules) {
    Side victim(side, HandshakePart::whole, rules);
    Side peer(
        side == HandshakeSide::server ? HandshakeSide::client : HandshakeSide::server,
        HandshakePart::whole,
        {.allow_cpython = true, .allow_md5 = true}
    );
    for (int turn = 0; turn < 10; ++turn) {
        if (!victim.advance()) {
            break;
        }
        peer.hear(victim.said());
        if (!peer.advance()) {
            break;
        }
        const Bytes said = peer.said();
        if (!said.empty()) {
            victim.hear(mischief.on(said));
        }
    }
    if (victim.through ? mischief.harmful : !mischief.changed) {
        std::abort();
    }
}

void garbage(
    std::span<const std::uint8_t> input,
    HandshakeSide side,
    HandshakePart part,
    HandshakeRules rules
) {
    Side victim(side, part, rules);
    const auto bytes = std::as_bytes(input);
    victim.hear({bytes.begin(), bytes.end()});
    for (int turn = 0; turn < 10 && victim.advance(); ++turn) {
    }
    // In its second half a server only answers: the client judges.
    const bool judges = part != HandshakePart::second || side == HandshakeSide::client;
    if (victim.through && judges) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const auto input = std::span(data, size).subspan(1);
    const unsigned choice = data[0];
    const HandshakeSide side =
        (choice & 1U) != 0 ? HandshakeSide::client : HandshakeSide::server;
    const HandshakePart half =
        (choice & 32U) != 0 ? HandshakePart::second : HandshakePart::first;
    const HandshakePart part = (choice & 2U) != 0 ? half : HandshakePart::whole;
    const HandshakeRules rules{
        .allow_cpython = (choice & 16U) == 0, .allow_md5 = (choice & 4U) != 0};
    if ((choice & 8U) != 0) {
        relayed(Mischief(input), side, rules);
    } else {
        garbage(input, side, part, rules);
    }
    return 0;
}
