// SPDX-License-Identifier: BSL-1.0
// has_own_serialize: does a class say itself how it is archived? By a member, also a
// private one, or by a free function that a call finds.
// Python:  __reduce__, __getstate__.
// Differs: asked when compiling, so the function must be declared before the class is
//          first archived.
// Threads: any; nothing here exists at run time.
#pragma once

#include <boost/mpl/bool.hpp>
#include <boost/serialization/access.hpp>
#include <boost/serialization/serialization.hpp>
#include <boost/serialization/version.hpp>

#include <concepts>
#include <type_traits>

namespace mp {

class OutArchive;
class InArchive;

namespace detail {

/// Archives that take everything and do nothing, to see which function is chosen.
template <bool saves>
struct ProbeArchive {
    using is_saving = boost::mpl::bool_<saves>;
    using is_loading = boost::mpl::bool_<!saves>;

    template <class T>
    ProbeArchive& operator<<(const T&);
    template <class T>
    ProbeArchive& operator>>(const T&);
    template <class T>
    ProbeArchive& operator&(const T&);
};

template <class Archive>
concept IsProbe = std::is_same_v<Archive, ProbeArchive<true>> ||
    std::is_same_v<Archive, ProbeArchive<false>>;

/// What the function returns that is chosen when the class has none.
struct NoOwnSerialize {};

}  // namespace detail
}  // namespace mp

namespace boost::serialization {

/// Beats Boost's own, which calls the member, and nothing else.
template <::mp::detail::IsProbe Archive, class T>
::mp::detail::NoOwnSerialize serialize(Archive&, T&, const unsigned int);

}  // namespace boost::serialization

namespace mp::detail {

// ---- a free function

/// As Boost calls it: the version's type makes it look into boost::serialization, too.
template <class Archive, class T>
concept NoneIsFree = requires(
    Archive& archive, T& object, const boost::serialization::version_type version
) {
    { serialize(archive, object, version) } -> std::same_as<NoOwnSerialize>;
};

/// Written for one of our archives by name.
template <class Archive, class T>
concept NamesArchive = requires(Archive& archive, T& object) {
    serialize(archive, object, 0U);
};

// ---- a member

struct NamedSerialize {
    int serialize;
};

/// If both have the name, it is ambiguous here, whoever may use it.
template <class T>
struct BesideNamed : T, NamedSerialize {};

template <class T>
concept SerializeIsUnambiguous = requires {
    &BesideNamed<T>::serialize;
};

template <class T>
concept SerializeIsData = requires {
    requires std::is_member_object_pointer_v<decltype(&T::serialize)>;
};

template <class T>
concept SerializeIsStaticData = requires {
    requires std::is_object_v<std::remove_reference_t<decltype(T::serialize)>>;
};

template <class T>
concept SerializeIsType = requires {
    typename T::serialize;
};

// Nothing derives from a final class. Boost's `access` may call its member, so a lambda
// is made that has access's rights, in a function of that class which nobody calls; a
// friend function brings its type out of there.
struct AccessKey {
    friend constexpr auto call_with_access(AccessKey);
};

template <class Probe>
struct BringOut {
    friend constexpr auto call_with_access(AccessKey) { return Probe(); }
};

}  // namespace mp::detail

template <>
inline void boost::serialization::access::destroy(const ::mp::detail::AccessKey*) {
    using Out = ::mp::detail::ProbeArchive<true>;
    using In = ::mp::detail::ProbeArchive<false>;
    const auto probe = []<class T>(T* object, Out* out, In* in) {
        return requires {
            object->serialize(*out, 0U);
        }
        || requires {
            object->serialize(*in, 0U);
        };
    };
    static_assert(sizeof(::mp::detail::BringOut<std::remove_const_t<decltype(probe)>>));
}

namespace mp::detail {

template <class T>
constexpr bool has_member_serialize() {
    if constexpr (std::is_final_v<T>) {
        return call_with_access(AccessKey()
        )(static_cast<T*>(nullptr),
          static_cast<ProbeArchive<true>*>(nullptr),
          static_cast<ProbeArchive<false>*>(nullptr));
    } else {
        return !SerializeIsUnambiguous<T> && !SerializeIsData<T> &&
               !SerializeIsStaticData<T> && !SerializeIsType<T>;
    }
}

/// T is a class.
template <class T>
inline constexpr bool
    has_own_serialize = has_member_serialize<T>() ||
                        !NoneIsFree<ProbeArchive<true>, T> ||
                        !NoneIsFree<ProbeArchive<false>, T> ||
                        NamesArchive<OutArchive, T> || NamesArchive<InArchive, T>;

}  // namespace mp::detail
