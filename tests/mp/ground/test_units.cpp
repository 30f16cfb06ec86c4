// SPDX-License-Identifier: BSL-1.0
// KiB, MiB, GiB.
#include "mp/units.hpp"

#include "support/catch.hpp"

TEST_CASE("units: sizes are powers of 1024") {
    CHECK(mp::KiB == 1024);
    CHECK(512 * mp::MiB == std::uint64_t{512} * 1024 * 1024);
    CHECK(8 * mp::GiB == std::uint64_t{8} << 30U);
}
