//! Packets other than CONNECT that must be refused (sections 3.3 to 3.15). What is wrong with single
//! properties, reason codes and strings stands in tables of its own.

use dockside_mqtt::ReasonCode::{MalformedPacket, ProtocolError};
use dockside_mqtt::Version::{V5, V31, V311};

use crate::Broken;

#[rustfmt::skip]
pub(crate) const PUBLISH: &[Broken] = &[
    ("[MQTT-3.3.1-4] QoS 3", V5, "36 06  0001 'a'  0001  00", MalformedPacket),
    ("[MQTT-3.3.1-4] QoS 3", V311, "36 05  0001 'a'  0001", MalformedPacket),
    ("[MQTT-3.3.1-2] DUP with QoS 0", V5, "38 04  0001 'a'  00", MalformedPacket),
    ("[MQTT-3.3.1-2] DUP with QoS 0", V311, "38 03  0001 'a'", MalformedPacket),
    ("[MQTT-3.3.2-1] no topic", V5, "30 00", MalformedPacket),
    ("[MQTT-3.3.2-1] no topic", V311, "30 00", MalformedPacket),
    ("[MQTT-3.3.2-1] half a length", V311, "30 01  00", MalformedPacket),
    ("[MQTT-3.3.2-1] a topic longer than the packet", V5, "30 04  0009 'a'  00", MalformedPacket),
    ("[MQTT-3.3.2-1] a topic longer than the packet", V311, "30 03  0002 'a'", MalformedPacket),
    ("[MQTT-2.2.1-3] QoS 1 without an identifier", V5, "32 03  0001 'a'", MalformedPacket),
    ("[MQTT-2.3.1-1] half an identifier", V311, "34 04  0001 'a'  00", MalformedPacket),
    ("[MQTT-2.2.2-1] no property length", V5, "30 03  0001 'a'", MalformedPacket),
    ("[MQTT-2.2.2-1] no property length", V5, "32 05  0001 'a'  0001", MalformedPacket),
];

#[rustfmt::skip]
pub(crate) const ACKNOWLEDGEMENTS: &[Broken] = &[
    ("PUBACK without an identifier", V5, "40 00", MalformedPacket),
    ("PUBACK with half an identifier", V311, "40 01  00", MalformedPacket),
    ("PUBACK with a reason code before 5.0", V311, "40 03  0007  00", MalformedPacket),
    ("PUBREC with a reason code before 5.0", V31, "50 03  0007  00", MalformedPacket),
    ("PUBREL without an identifier", V5, "62 00", MalformedPacket),
    ("PUBREL with a reason code before 5.0", V311, "62 03  0007  00", MalformedPacket),
    ("PUBCOMP with a reason code before 5.0", V311, "70 03  0007  00", MalformedPacket),
    ("PUBACK with bytes behind its properties", V5, "40 05  0007  00  00  00", MalformedPacket),
    ("PUBREL with bytes behind its properties", V5, "62 05  0007  00  00  00", MalformedPacket),
    ("CONNACK without a reason", V5, "20 01  00", MalformedPacket),
    ("CONNACK without a property length", V5, "20 02  00  00", MalformedPacket),
    ("[MQTT-3.2.2-1] a reserved acknowledge flag", V5, "20 03  02  00  00", MalformedPacket),
    ("[MQTT-3.2.2-1] a reserved acknowledge flag", V311, "20 02  80  00", MalformedPacket),
    ("CONNACK with a property length before 5.0", V311, "20 03  00  00  00", MalformedPacket),
    ("UNSUBACK with a code before 5.0", V311, "b0 03  0001  00", MalformedPacket),
    ("UNSUBACK with a code before 5.0", V31, "b0 03  0001  11", MalformedPacket),
    ("SUBACK without a property length", V5, "90 02  0001", MalformedPacket),
    ("UNSUBACK without a property length", V5, "b0 02  0001", MalformedPacket),
];

#[rustfmt::skip]
pub(crate) const SUBSCRIPTIONS: &[Broken] = &[
    ("SUBSCRIBE without an identifier", V5, "82 00", MalformedPacket),
    ("SUBSCRIBE without a property length", V5, "82 02  0001", MalformedPacket),
    ("section 3.8.3: SUBSCRIBE without a filter", V5, "82 03  0001  00", ProtocolError),
    ("section 3.8.3: SUBSCRIBE without a filter", V311, "82 02  0001", ProtocolError),
    ("SUBSCRIBE without options", V5, "82 06  0001  00  0001 'a'", MalformedPacket),
    ("SUBSCRIBE without a second filter's options", V311, "82 09  0001  0001 'a' 00  0001 'b'", MalformedPacket),
    ("SUBSCRIBE, a filter longer than the packet", V5, "82 07  0001  00  0009 'a' 00", MalformedPacket),
    ("[MQTT-3.8.3-5] reserved option bit 6", V5, "82 07  0001  00  0001 'a' 40", MalformedPacket),
    ("[MQTT-3.8.3-5] reserved option bit 7", V5, "82 07  0001  00  0001 'a' 80", MalformedPacket),
    ("[MQTT-3.8.3-5] reserved option bit 7 of the second", V5, "82 0b  0001  00  0001 'a' 00  0001 'b' 81", MalformedPacket),
    ("section 3.8.3.1: QoS 3", V5, "82 07  0001  00  0001 'a' 03", ProtocolError),
    ("section 3.8.3.1: retain handling 3", V5, "82 07  0001  00  0001 'a' 30", ProtocolError),
    ("3.1.1, section 3.8.3: QoS 3", V311, "82 06  0001  0001 'a' 03", MalformedPacket),
    ("3.1.1, section 3.8.3: no local", V311, "82 06  0001  0001 'a' 04", MalformedPacket),
    ("3.1.1, section 3.8.3: retain as published", V311, "82 06  0001  0001 'a' 08", MalformedPacket),
    ("3.1.1, section 3.8.3: retain handling", V311, "82 06  0001  0001 'a' 10", MalformedPacket),
    ("3.1.1, section 3.8.3: reserved bit 7", V31, "82 06  0001  0001 'a' 80", MalformedPacket),
    ("UNSUBSCRIBE without an identifier", V5, "a2 01  00", MalformedPacket),
    ("UNSUBSCRIBE without a property length", V5, "a2 02  0001", MalformedPacket),
    ("[MQTT-3.10.3-2] UNSUBSCRIBE without a filter", V5, "a2 03  0001  00", ProtocolError),
    ("[MQTT-3.10.3-2] UNSUBSCRIBE without a filter", V311, "a2 02  0001", ProtocolError),
    ("UNSUBSCRIBE, half a length of a second filter", V311, "a2 06  0001  0001 'a'  00", MalformedPacket),
];

#[rustfmt::skip]
pub(crate) const ENDS: &[Broken] = &[
    ("PINGREQ with a body", V5, "c0 01  00", MalformedPacket),
    ("PINGREQ with a body", V311, "c0 01  00", MalformedPacket),
    ("PINGRESP with a body", V5, "d0 01  00", MalformedPacket),
    ("DISCONNECT with a reason before 5.0", V311, "e0 01  00", MalformedPacket),
    ("DISCONNECT with a reason before 5.0", V31, "e0 02  00  00", MalformedPacket),
    ("DISCONNECT with bytes behind its properties", V5, "e0 03  00  00  00", MalformedPacket),
    ("section 3.15.2.2.2: AUTH that only says success", V5, "f0 01  00", ProtocolError),
    ("section 3.15.2.2.2: AUTH without a method", V5, "f0 02  18  00", ProtocolError),
    ("section 3.15.2.2.2: AUTH with data and no method", V5, "f0 06  18  04 16 0001 00", ProtocolError),
    ("AUTH with bytes behind its properties", V5, "f0 07  18  04 15 0001 'm'  00", MalformedPacket),
];
