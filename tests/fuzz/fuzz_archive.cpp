// SPDX-License-Identifier: BSL-1.0
// Any bytes, read as each of several types: an error or a value, never a crash, and a
// value that was read survives another journey.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"

#include <boost/serialization/access.hpp>
#include <boost/serialization/version.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

struct Versioned {
    int a = 0;
    std::string b;

    template <class Archive>
    void serialize(Archive& ar, unsigned version) {
        ar& a;
        if (version >= 2) {
            ar& b;
        }
    }

    bool operator==(const Versioned&) const = default;
};

struct Tree {
    std::int32_t value = 0;
    std::vector<Tree> children;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value& children;
    }

    bool operator==(const Tree&) const = default;
};

template <class T>
void read_as(std::span<const std::byte> bytes) {
    try {
        const T value = mp::loads<T>(bytes);
        if (!(mp::loads<T>(mp::dumps(value)) == value)) {
            std::abort();
        }
    } catch (const mp::SerializationError&) {
        // Most bytes are no value.
    }
}

}  // namespace

BOOST_CLASS_VERSION(Versioned, 2)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
    switch (data[0] % 10) {
    case 0:
        read_as<std::string>(bytes);
        break;
    case 1:
        read_as<std::vector<std::int64_t>>(bytes);
        break;
    case 2:
        read_as<std::vector<bool>>(bytes);
        break;
    case 3:
        read_as<std::map<std::string, std::vector<int>>>(bytes);
        break;
    case 4:
        read_as<std::unordered_map<int, std::string>>(bytes);
        break;
    case 5:
        read_as<std::variant<std::monostate, int, std::string>>(bytes);
        break;
    case 6:
        read_as<std::tuple<std::optional<int>, std::wstring, bool>>(bytes);
        break;
    case 7:
        read_as<std::vector<Versioned>>(bytes);
        break;
    case 8:
        read_as<Tree>(bytes);
        break;
    default:
        read_as<std::list<std::set<std::string>>>(bytes);
        break;
    }
    return 0;
}
