// SPDX-License-Identifier: BSL-1.0
// KeyTravel: how an authentication key comes to a child: not among the bytes of a
// message, but from its own page into one of the child's.
#pragma once

#include "mp/identity.hpp"

#include "os/secret.hpp"

#include <cstdint>

namespace mp::detail {

struct KeyTravel {
    /// In the parent: the number by which the child finds it. Throws StateError while
    /// no child is being started.
    static std::uint32_t hand_over(const AuthenticationString& key);

    /// In the child. Throws SerializationError.
    static AuthenticationString take_over(std::uint32_t index);

    static AuthenticationString key_of(const os::Secret& secret);
};

}  // namespace mp::detail
